/*
 * KVM direct mode ("hpvm"): QMP commands of a QEMU without KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-hpvm-target.h"

HpvmInfo *qmp_query_hpvm(Error **errp)
{
    return g_new0(HpvmInfo, 1);
}

void qmp_hpvm_set_mode(HpvmMode mode, Error **errp)
{
    error_setg(errp, "direct mode is not available; this QEMU was built "
               "without KVM");
}
