/*
 * VFIO devices of a guest whose QEMU is replaced ("cpr-transfer")
 *
 * The devices go on all the time: nothing is reset, and DMA is never stopped.
 * What stands for them is passed as descriptors: container, group and device,
 * and the two eventfds of each MSI or MSI-X vector.  So the kernel's side of
 * them stays as it is, and only who listens changes:
 *
 * - Interrupts.  When the guest has stopped, the old QEMU takes the eventfds
 *   from its VM and from its main loop.  What comes then is counted in them,
 *   and the new QEMU's VM finds it there when it's given them, which is when
 *   that starts the guest: by then its local APICs have been loaded, which
 *   would overwrite what came before.
 *
 * - DMA.  The memory is pinned and mapped in the IOMMU, and of the address that
 *   it has in a process the kernel makes no use for that.  So the old QEMU
 *   doesn't do anything, and can go on if the upgrade fails.  The new one says
 *   for each mapping where it has the memory (VFIO_DMA_MAP_FLAG_VADDR, which
 *   accounts it to this process, too) when all of the guest's state has come
 *   and the guest is about to start.  By the sum of the sizes it sees that no
 *   mapping is left which it doesn't know of.
 *
 * - Configuration space and MSI-X table, as far as QEMU emulates them, are in
 *   the stream.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include CONFIG_DEVICES /* CONFIG_HPVM */
#include <sys/ioctl.h>

#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "migration/blocker.h"
#include "migration/client-options.h"
#include "migration/cpr.h"
#include "migration/misc.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qapi/qapi-types-migration.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "cpr-transfer.h"
#include "trace.h"
#ifdef CONFIG_HPVM
#include "target/i386/kvm/hpvm/hpvm.h"
#else
static inline bool kvm_hpvm_is_connected(int gsi)
{
    return true;
}
#endif

#define MSI_VECTORS_MAX 32

/* More than one is rare, but there may be some with different IOMMUs. */
#define MAX_CONTAINERS 64

static bool is_transfer(void)
{
    return migrate_mode() == MIG_MODE_CPR_TRANSFER;
}

static bool is_transfer_needed(void *opaque)
{
    return is_transfer();
}

/*
 * Names in the list of descriptors.  The container of a group is part of the
 * group's name, its number the ID.
 */
#define CONTAINER_NAME "vfio-container"

static char *group_name(int container)
{
    return g_strdup_printf("vfio-container-%d-group", container);
}

static char *device_name(VFIODevice *vbasedev)
{
    return g_strdup_printf("vfio-device-%s", vbasedev->name);
}

/* --- containers and groups --- */

int vfio_cpr_find_group(VFIOGroup *group, int groupid)
{
    for (int i = 0; i < MAX_CONTAINERS; i++) {
        g_autofree char *name = group_name(i);
        int fd = cpr_find_fd(name, groupid);

        if (fd >= 0) {
            group->cpr_container = i;
            return fd;
        }
    }
    group->cpr_container = -1;
    return -1;
}

int vfio_cpr_find_container(VFIOGroup *group)
{
    return group->cpr_container < 0 ? -1 :
           cpr_find_fd(CONTAINER_NAME, group->cpr_container);
}

bool vfio_cpr_join_container(VFIOGroup *group, VFIOContainer *container)
{
    if (group->cpr_container >= 0) {
        return group->cpr_container == container->cpr->index;
    }
    return !ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &container->fd);
}

static int container_post_load(void *opaque, int version_id)
{
    VFIOCprContainer *cpr = opaque;

    cpr->wanted = cpr->mapped;
    cpr->loaded = true;
    return 0;
}

static const VMStateDescription vmstate_cpr_container = {
    .name = "vfio-cpr-container",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = is_transfer_needed,
    .post_load = container_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(mapped, VFIOCprContainer),
        VMSTATE_END_OF_LIST()
    }
};

void vfio_cpr_container_init(VFIOContainer *container, VFIOGroup *group)
{
    VFIOCprContainer *cpr = g_new0(VFIOCprContainer, 1);

    container->cpr = cpr;
    if (group->cpr_container >= 0) {
        cpr->index = group->cpr_container;
        cpr->inherited = true;
    } else {
        while (cpr_find_fd(CONTAINER_NAME, cpr->index) >= 0) {
            cpr->index++;
        }
        cpr_save_fd(CONTAINER_NAME, cpr->index, container->fd);
    }
    vmstate_register(NULL, cpr->index, &vmstate_cpr_container, cpr);
}

void vfio_cpr_container_exit(VFIOContainer *container)
{
    vmstate_unregister(NULL, &vmstate_cpr_container, container->cpr);
    cpr_delete_fd(CONTAINER_NAME, container->cpr->index);
    g_clear_pointer(&container->cpr, g_free);
}

void vfio_cpr_save_group(VFIOGroup *group)
{
    int index = group->container->cpr->index;
    g_autofree char *name = group_name(index);

    if (group->cpr_container < 0) {
        group->cpr_container = index;
        cpr_save_fd(name, group->groupid, group->fd);
    }
}

void vfio_cpr_forget_group(VFIOGroup *group)
{
    g_autofree char *name = group_name(group->cpr_container);

    cpr_delete_fd(name, group->groupid);
}

bool vfio_cpr_container_waits(VFIOContainer *container)
{
    return container->cpr->inherited;
}

bool vfio_cpr_taking_over(const VFIOContainer *container)
{
    return container->cpr->taking_over;
}

void vfio_cpr_mapped(const VFIOContainer *container, uint64_t size)
{
    container->cpr->mapped += size;
}

void vfio_cpr_unmapped(const VFIOContainer *container, uint64_t size)
{
    container->cpr->mapped -= size;
}

int vfio_cpr_take_mapping(const VFIOContainer *container, hwaddr iova,
                          ram_addr_t size, void *vaddr)
{
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof(unmap),
        .flags = VFIO_DMA_UNMAP_FLAG_VADDR,
        .iova = iova,
        .size = size,
    };
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof(map),
        .flags = VFIO_DMA_MAP_FLAG_VADDR,
        .vaddr = (uintptr_t)vaddr,
        .iova = iova,
        .size = size,
    };
    int ret = 0;

    /*
     * The first fails if there's no such mapping, and then the second does, or
     * if a QEMU has come as far as here and no further.
     */
    ioctl(container->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
    if (ioctl(container->fd, VFIO_IOMMU_MAP_DMA, &map)) {
        ret = -errno;
    } else {
        vfio_cpr_mapped(container, size);
    }
    trace_vfio_cpr_take_mapping(iova, size, vaddr, ret);
    return ret;
}

static bool take_over_container(VFIOContainer *container, Error **errp)
{
    VFIOContainerBase *bcontainer = &container->bcontainer;
    VFIOCprContainer *cpr = container->cpr;

    if (!cpr->loaded) {
        error_setg(errp, "vfio: the old QEMU has said nothing of the memory "
                   "that its devices reach; the guest can go on only there");
        return false;
    }
    cpr->taking_over = true;
    cpr->mapped = 0;
    memory_listener_register(&bcontainer->listener, bcontainer->space->as);
    if (!bcontainer->error && cpr->mapped == cpr->wanted) {
        cpr->taking_over = false;
        cpr->inherited = false;
        bcontainer->initialized = true;
        return true;
    }
    if (bcontainer->error) {
        error_propagate_prepend(errp, g_steal_pointer(&bcontainer->error),
                                "vfio: the guest's memory isn't as in the old "
                                "QEMU, where it can go on: ");
    } else {
        error_setg(errp, "vfio: the devices of the old QEMU's guest reach "
                   "%" PRIu64 " bytes of memory, %" PRIu64 " of which are "
                   "known here; the guest can go on only there",
                   cpr->wanted, cpr->mapped);
    }
    /* Which leaves the mappings there. */
    memory_listener_unregister(&bcontainer->listener);
    return false;
}

bool vfio_cpr_keeps_dirty_tracking_off(void)
{
    /* The memory stays where it is. */
    return is_transfer();
}

/* --- devices --- */

bool vfio_cpr_check_device(VFIODevice *vbasedev, Error **errp)
{
    g_autofree char *name = device_name(vbasedev);

    if (cpr_is_incoming() && cpr_find_fd(name, 0) < 0) {
        error_setg(errp, "the old QEMU doesn't hand this device over, as its "
                   "guest doesn't have it, or as it can't hand over any; use "
                   "the old QEMU's devices, or unplug it there first");
        return false;
    }
    return true;
}

int vfio_cpr_find_device(VFIODevice *vbasedev)
{
    g_autofree char *name = device_name(vbasedev);
    int fd = cpr_find_fd(name, 0);

    if (fd >= 0) {
        vbasedev->cpr_state = VFIO_CPR_INHERITED;
    }
    return fd;
}

void vfio_cpr_save_device(VFIODevice *vbasedev)
{
    g_autofree char *name = device_name(vbasedev);

    if (vbasedev->cpr_state != VFIO_CPR_INHERITED) {
        cpr_save_fd(name, 0, vbasedev->fd);
    }
}

void vfio_cpr_forget_device(VFIODevice *vbasedev)
{
    g_autofree char *name = device_name(vbasedev);

    cpr_delete_fd(name, 0);
}

/* --- PCI devices: who is told of interrupts --- */

static char *vector_name(VFIOMSIVector *vector, EventNotifier *e)
{
    return g_strdup_printf("vfio-%sinterrupt-%s",
                           e == &vector->kvm_interrupt ? "kvm-" : "",
                           vector->vdev->vbasedev.name);
}

int vfio_cpr_vector_init(VFIOMSIVector *vector, int nr, EventNotifier *e)
{
    g_autofree char *name = vector_name(vector, e);
    VFIOPCIDevice *vdev = vector->vdev;
    int fd = cpr_find_fd(name, nr);
    int ret;

    if (fd >= 0) {
        event_notifier_init_fd(e, fd);
        return 0;
    }
    if (vfio_cpr_is_waiting(&vdev->vbasedev)) {
        if (e == &vector->kvm_interrupt) {
            /* The old QEMU handled it by itself. */
            return -ENOENT;
        }
        /* Of MSI, the host may have granted less than the guest asked for. */
        vdev->cpr_incomplete |= vdev->interrupt == VFIO_INT_MSIX || !nr;
    }
    ret = event_notifier_init(e, 0);
    if (ret) {
        return ret;
    }
    cpr_save_fd(name, nr, event_notifier_get_fd(e));
    /* The descriptors are passed when the upgrade begins. */
    vdev->cpr_incomplete |= is_transfer() && migration_is_running();
    return 0;
}

void vfio_cpr_vector_cleanup(VFIOMSIVector *vector, EventNotifier *e)
{
    g_autofree char *name = vector_name(vector, e);

    cpr_delete_fd(name, vector - vector->vdev->msi_vectors);
    event_notifier_cleanup(e);
}

void vfio_cpr_use_masked_vectors(VFIOPCIDevice *vdev)
{
    if (!vfio_cpr_is_waiting(&vdev->vbasedev)) {
        return;
    }
    for (int nr = 0; nr < vdev->msix->entries; nr++) {
        VFIOMSIVector *vector = &vdev->msi_vectors[nr];
        g_autofree char *name = NULL;

        vector->vdev = vdev;
        name = vector_name(vector, &vector->interrupt);
        if (!vector->use && cpr_find_fd(name, nr) >= 0) {
            vfio_msix_vector_do_use(&vdev->pdev, nr, NULL, NULL);
            if (vdev->pdev.msix_pba[nr / 8] & (1 << nr % 8)) {
                set_bit(nr, vdev->msix->pending);
                memory_region_set_enabled(&vdev->pdev.msix_pba_mmio, true);
            }
        }
    }
}

/* What the old QEMU had, but the guest doesn't use. */
static void drop_unused_fds(VFIOPCIDevice *vdev)
{
    unsigned int entries = MAX(vdev->msix ? vdev->msix->entries : 0,
                               MSI_VECTORS_MAX);

    for (int nr = 0; nr < entries; nr++) {
        VFIOMSIVector no_vector = { .vdev = vdev };
        VFIOMSIVector *vector = nr < vdev->nr_vectors ? &vdev->msi_vectors[nr] :
                                                        &no_vector;
        EventNotifier *notifiers[] = {
            &vector->interrupt, &vector->kvm_interrupt
        };

        for (int i = 0; i < ARRAY_SIZE(notifiers); i++) {
            bool used = vector->use && (i == 0 || vector->virq >= 0);
            g_autofree char *name = NULL;
            int fd;

            vector->vdev = vdev;
            name = vector_name(vector, notifiers[i]);
            fd = cpr_find_fd(name, nr);
            if (fd >= 0 && !used) {
                cpr_delete_fd(name, nr);
                close(fd);
            }
        }
    }
}

static void set_handlers(VFIOPCIDevice *vdev, IOHandler *handler)
{
    for (int nr = 0; nr < vdev->nr_vectors; nr++) {
        VFIOMSIVector *vector = &vdev->msi_vectors[nr];

        if (vector->use) {
            qemu_set_fd_handler(event_notifier_get_fd(&vector->interrupt),
                                handler, NULL, handler ? vector : NULL);
        }
    }
}

/* From now on interrupts wait in their eventfds. */
static void detach(VFIOPCIDevice *vdev)
{
    if (vdev->vbasedev.cpr_state != VFIO_CPR_OWN ||
        vdev->interrupt == VFIO_INT_INTx) {
        return;
    }
    trace_vfio_cpr_detach(vdev->vbasedev.name, vdev->nr_vectors);
    for (int nr = 0; nr < vdev->nr_vectors; nr++) {
        VFIOMSIVector *vector = &vdev->msi_vectors[nr];

        if (vector->use && vector->virq >= 0) {
            kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state,
                                                  &vector->kvm_interrupt,
                                                  vector->virq);
        }
    }
    set_handlers(vdev, NULL);
    vdev->vbasedev.cpr_state = VFIO_CPR_PASSED;
}

/* Whoever receives a descriptor makes it block, for the sender, too. */
static void set_nonblocking(EventNotifier *e)
{
    g_unix_set_fd_nonblocking(event_notifier_get_fd(e), true, NULL);
}

/*
 * What KVM can't connect to the device, such as an eventfd that another VM has,
 * too, it accepts and has go through the host.
 */
static void check_connected(VFIOPCIDevice *vdev)
{
    for (int nr = 0; nr < vdev->nr_vectors; nr++) {
        VFIOMSIVector *vector = &vdev->msi_vectors[nr];

        if (vector->use && vector->virq >= 0 &&
            !kvm_hpvm_is_connected(vector->virq)) {
            warn_report("vfio %s: interrupt %d goes to the guest through the "
                        "host, with VM exits, as KVM hasn't connected it to the "
                        "device (the kernel's log says why: irq bypass); after "
                        "another upgrade it may go straight again",
                        vdev->vbasedev.name, nr);
        }
    }
}

/* Since the guest has run last. */
static bool attached;

static void attach(VFIOPCIDevice *vdev)
{
    bool is_new = vfio_cpr_is_waiting(&vdev->vbasedev);

    if (vdev->vbasedev.cpr_state == VFIO_CPR_OWN) {
        return;
    }
    trace_vfio_cpr_attach(vdev->vbasedev.name, vdev->nr_vectors);
    for (int nr = 0; nr < vdev->nr_vectors; nr++) {
        VFIOMSIVector *vector = &vdev->msi_vectors[nr];

        if (!vector->use) {
            continue;
        }
        set_nonblocking(&vector->interrupt);
        if (vector->virq < 0) {
            continue;
        }
        set_nonblocking(&vector->kvm_interrupt);
        if (kvm_irqchip_add_irqfd_notifier_gsi(kvm_state,
                                               &vector->kvm_interrupt, NULL,
                                               vector->virq) < 0) {
            error_report("vfio %s: the guest won't get interrupt %d any more: "
                         "KVM doesn't take it", vdev->vbasedev.name, nr);
        }
        /* KVM has seen that there was one, but let the count stand. */
        event_notifier_test_and_clear(&vector->kvm_interrupt);
    }
    set_handlers(vdev, vfio_msi_interrupt);
    vdev->cpr_incomplete = false;
    vdev->vbasedev.cpr_state = VFIO_CPR_OWN;
    attached = true;
    if (is_new) {
        vfio_register_err_notifier(vdev);
        vfio_register_req_notifier(vdev);
    }
}

static bool can_be_passed(VFIOPCIDevice *vdev, Error **errp)
{
    if (vdev->interrupt == VFIO_INT_INTx) {
        error_setg(errp, "vfio %s: the guest uses the device's INTx, which "
                   "can't be handed over to another QEMU; try again when its "
                   "driver has switched to MSI or MSI-X, or unplug the device",
                   vdev->vbasedev.name);
        return false;
    }
    if (vdev->cpr_incomplete) {
        error_setg(errp, "vfio %s: the guest set up an interrupt of the device "
                   "after the upgrade had begun; try again",
                   vdev->vbasedev.name);
        return false;
    }
    return true;
}

bool vfio_cpr_pci_reset(VFIOPCIDevice *vdev)
{
    if (vfio_cpr_is_elsewhere(&vdev->vbasedev)) {
        trace_vfio_cpr_no_reset(vdev->vbasedev.name);
        return false;
    }
    attach(vdev);
    return true;
}

static int pci_pre_save(void *opaque)
{
    Error *err = NULL;

    if (!can_be_passed(opaque, &err)) {
        error_report_err(err);
        return -EBUSY;
    }
    return 0;
}

static int pci_pre_load(void *opaque)
{
    VFIOPCIDevice *vdev = opaque;

    /* The rest is the device's own, and may change at any time. */
    for (int i = 0; i < vdev->config_size; i++) {
        vdev->pdev.cmask[i] &= vdev->emulated_config_bits[i];
    }
    return 0;
}

static int pci_post_load(void *opaque, int version_id)
{
    VFIOPCIDevice *vdev = opaque;
    PCIDevice *pdev = &vdev->pdev;

    for (int bar = 0; bar < PCI_ROM_SLOT; bar++) {
        if (vdev->bars[bar].region.size > 0 &&
            vdev->bars[bar].region.size < qemu_real_host_page_size()) {
            vfio_sub_page_bar_update_mapping(pdev, bar);
        }
    }

    vdev->vbasedev.cpr_state = VFIO_CPR_LOADED;
    if (msi_enabled(pdev)) {
        vfio_msi_enable(vdev);
    } else if (msix_enabled(pdev)) {
        vfio_msix_enable(vdev);
    }
    /* None has been called yet. */
    set_handlers(vdev, NULL);
    if (vdev->cpr_incomplete) {
        error_report("vfio %s: the old QEMU hasn't passed all interrupts of "
                     "the device", vdev->vbasedev.name);
        return -EINVAL;
    }
    drop_unused_fds(vdev);
    return 0;
}

static bool is_msix_present(void *opaque, int version_id)
{
    return msix_present(opaque);
}

/* To the next QEMU on the same host; no other migration has it. */
const VMStateDescription vfio_cpr_pci_vmstate = {
    .name = "vfio-cpr-pci",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = is_transfer_needed,
    .pre_save = pci_pre_save,
    .pre_load = pci_pre_load,
    .post_load = pci_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(pdev, VFIOPCIDevice),
        VMSTATE_MSIX_TEST(pdev, VFIOPCIDevice, is_msix_present),
        VMSTATE_END_OF_LIST()
    }
};

/* --- all of them --- */

static VFIOPCIDevice *pci_device(VFIODevice *vbasedev)
{
    return vbasedev->type == VFIO_DEVICE_TYPE_PCI ?
           container_of(vbasedev, VFIOPCIDevice, vbasedev) : NULL;
}

static void for_each_pci(void (*f)(VFIOPCIDevice *vdev))
{
    VFIODevice *vbasedev;

    QLIST_FOREACH(vbasedev, &vfio_device_list, global_next) {
        VFIOPCIDevice *vdev = pci_device(vbasedev);

        if (vdev) {
            f(vdev);
        }
    }
}

static void attach_again(VFIOPCIDevice *vdev)
{
    if (vdev->vbasedev.cpr_state == VFIO_CPR_PASSED) {
        attach(vdev);
    }
    vdev->cpr_incomplete = false;
}

static void check_all(void *opaque)
{
    for_each_pci(check_connected);
}

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    if (running) {
        for_each_pci(attach);
        if (attached) {
            attached = false;
            /* The guest needn't wait for it. */
            aio_bh_schedule_oneshot(qemu_get_aio_context(), check_all, NULL);
        }
    }
}

static int migration_changed(NotifierWithReturn *notifier, MigrationEvent *e,
                             Error **errp)
{
    VFIODevice *vbasedev;

    switch (e->type) {
    case MIG_EVENT_PRECOPY_SETUP:
        QLIST_FOREACH(vbasedev, &vfio_device_list, global_next) {
            VFIOPCIDevice *vdev = pci_device(vbasedev);

            if (vdev && !can_be_passed(vdev, errp)) {
                return -EBUSY;
            }
        }
        break;
    case MIG_EVENT_PRECOPY_FAILED:
        for_each_pci(attach_again);
        break;
    default:
        break;
    }
    return 0;
}

/*
 * Before the vCPUs' CPUs are released: who has asked for this event last hears
 * it first.
 */
static int precopy_changed(NotifierWithReturn *notifier, void *data,
                           Error **errp)
{
    const PrecopyNotifyData *event = data;

    if (event->reason == PRECOPY_NOTIFY_COMPLETE && is_transfer()) {
        for_each_pci(detach);
    }
    return 0;
}

static int before_start(NotifierWithReturn *notifier, void *data, Error **errp)
{
    VFIOGroup *group;
    VFIODevice *vbasedev;

    QLIST_FOREACH(vbasedev, &vfio_device_list, global_next) {
        if (vbasedev->cpr_state == VFIO_CPR_INHERITED) {
            error_setg(errp, "vfio %s: the old QEMU hasn't handed the device "
                       "over; the guest can go on only there", vbasedev->name);
            return -EINVAL;
        }
    }
    QLIST_FOREACH(group, &vfio_group_list, next) {
        if (vfio_cpr_container_waits(group->container) &&
            !take_over_container(group->container, errp)) {
            return -EINVAL;
        }
    }
    return 0;
}

static void init(void)
{
    static NotifierWithReturn notifier;
    static NotifierWithReturn start_notifier = { .notify = before_start };
    static NotifierWithReturn precopy_notifier = { .notify = precopy_changed };

    qemu_add_vm_change_state_handler(vm_state_changed, NULL);
    qemu_add_vm_start_notifier(&start_notifier);
    migration_add_notifier_mode(&notifier, migration_changed,
                                MIG_MODE_CPR_TRANSFER);
    precopy_add_notifier(&precopy_notifier);
}

static bool has_update_vaddr(VFIODevice *vbasedev)
{
    return ioctl(vbasedev->group->container->fd, VFIO_CHECK_EXTENSION,
                 VFIO_UPDATE_VADDR) > 0;
}

/* Why this device will never be handed over, or NULL. */
static const char *never_passed(VFIOPCIDevice *vdev)
{
    VFIODevice *vbasedev = &vdev->vbasedev;

    if (!vbasedev->group) {
        return "it's assigned by IOMMUFD; leave out iommufd=";
    }
    if (vbasedev->mdev) {
        return "it's a mediated device";
    }
    if (vfio_viommu_preset(vbasedev)) {
        return "the guest has an IOMMU";
    }
    if (vbasedev->migration) {
        return "its state is migrated; add enable-migration=off";
    }
    if (vdev->vga || vdev->dpy || vdev->igd_opregion) {
        return "it's a display";
    }
    if (vbasedev->group->container->iommu_type != VFIO_TYPE1v2_IOMMU ||
        !has_update_vaddr(vbasedev)) {
        return "the host's kernel can't pass on the memory that it reaches";
    }
    return NULL;
}

bool vfio_cpr_pci_realize(VFIOPCIDevice *vdev, Error **errp)
{
    static bool initialized;
    const char *reason = never_passed(vdev);

    if (!initialized) {
        initialized = true;
        init();
    }
    if (!reason) {
        return true;
    }
    error_setg(&vdev->cpr_blocker, "vfio %s: the device can't be handed over "
               "to another QEMU: %s", vdev->vbasedev.name, reason);
    return migrate_add_blocker_modes(&vdev->cpr_blocker, errp,
                                     MIG_MODE_CPR_TRANSFER, -1) >= 0;
}

void vfio_cpr_pci_exit(VFIOPCIDevice *vdev)
{
    migrate_del_blocker(&vdev->cpr_blocker);
    migrate_del_blocker(&vdev->cpr_intx_blocker);
}

void vfio_cpr_block_intx(VFIOPCIDevice *vdev)
{
    if (vdev->cpr_intx_blocker ||
        can_be_passed(vdev, &vdev->cpr_intx_blocker)) {
        return;
    }
    /* Within an upgrade it's noticed later that the device can't be passed. */
    migrate_add_blocker_modes(&vdev->cpr_intx_blocker, NULL,
                              MIG_MODE_CPR_TRANSFER, -1);
}

void vfio_cpr_unblock_intx(VFIOPCIDevice *vdev)
{
    migrate_del_blocker(&vdev->cpr_intx_blocker);
}
