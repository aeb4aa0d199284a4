/*
 * VFIO devices of a guest whose QEMU is replaced ("cpr-transfer")
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_CPR_TRANSFER_H
#define HW_VFIO_CPR_TRANSFER_H

#include "hw/vfio/vfio-common.h"
#include "hw/vfio/pci.h"

/* What the new QEMU has to know of a container. */
typedef struct VFIOCprContainer {
    int index;
    bool inherited;         /* no mapping is this QEMU's yet */
    bool loaded;
    bool taking_over;
    uint64_t mapped;        /* bytes, in all mappings together */
    uint64_t wanted;        /* so many the old QEMU had */
} VFIOCprContainer;

/* --- containers and groups: the descriptors, and who maps the memory --- */

/*
 * The descriptor of a group that the old QEMU has passed, or -1.
 * group->cpr_container says of which container it is, or -1.
 */
int vfio_cpr_find_group(VFIOGroup *group, int groupid);
int vfio_cpr_find_container(VFIOGroup *group);
/* Is the group in the container, to which it's added if it's a new one? */
bool vfio_cpr_join_container(VFIOGroup *group, VFIOContainer *container);
void vfio_cpr_container_init(VFIOContainer *container, VFIOGroup *group);
void vfio_cpr_container_exit(VFIOContainer *container);
void vfio_cpr_save_group(VFIOGroup *group);
void vfio_cpr_forget_group(VFIOGroup *group);
/* Are its mappings, which are there, taken over when the guest starts? */
bool vfio_cpr_container_waits(VFIOContainer *container);
/* Does this QEMU become the owner of mappings that are there? */
bool vfio_cpr_taking_over(const VFIOContainer *container);
int vfio_cpr_take_mapping(const VFIOContainer *container, hwaddr iova,
                          ram_addr_t size, void *vaddr);
void vfio_cpr_mapped(const VFIOContainer *container, uint64_t size);
void vfio_cpr_unmapped(const VFIOContainer *container, uint64_t size);
bool vfio_cpr_keeps_dirty_tracking_off(void);

/* --- devices --- */

/* False if the old QEMU of a guest that comes should have passed it. */
bool vfio_cpr_check_device(VFIODevice *vbasedev, Error **errp);
int vfio_cpr_find_device(VFIODevice *vbasedev);
void vfio_cpr_save_device(VFIODevice *vbasedev);
void vfio_cpr_forget_device(VFIODevice *vbasedev);
/* Does the device belong to another QEMU's guest for now? */
static inline bool vfio_cpr_is_elsewhere(const VFIODevice *vbasedev)
{
    return vbasedev->cpr_state == VFIO_CPR_INHERITED ||
           vbasedev->cpr_state == VFIO_CPR_PASSED;
}
/* Are its interrupts set up in the kernel, but not this QEMU's to handle? */
static inline bool vfio_cpr_is_waiting(const VFIODevice *vbasedev)
{
    return vbasedev->cpr_state == VFIO_CPR_LOADED;
}

/* --- PCI devices --- */

extern const VMStateDescription vfio_cpr_pci_vmstate;

bool vfio_cpr_pci_realize(VFIOPCIDevice *vdev, Error **errp);
void vfio_cpr_pci_exit(VFIOPCIDevice *vdev);
/* Returns false if it's not to be reset. */
bool vfio_cpr_pci_reset(VFIOPCIDevice *vdev);
void vfio_cpr_block_intx(VFIOPCIDevice *vdev);
void vfio_cpr_unblock_intx(VFIOPCIDevice *vdev);

/* A vector's eventfd: the old QEMU's if it has passed one. */
int vfio_cpr_vector_init(VFIOMSIVector *vector, int nr, EventNotifier *e);
void vfio_cpr_vector_cleanup(VFIOMSIVector *vector, EventNotifier *e);
/* Of vectors that the guest has masked the use can't be seen in the table. */
void vfio_cpr_use_masked_vectors(VFIOPCIDevice *vdev);

#endif
