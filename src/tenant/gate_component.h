#pragma once

#include <string>
#include <string_view>

#include "tenant/components.h"

namespace tenantctl {

/// The gate as it stands in the database: functions that an application calls to work as a tenant,
/// and tenantctl.gate, the one row that tells them how the fleet is laid out. Version by version.
///
/// What the functions raise (class TG is nobody else's) is part of what users are promised:
/// TG001 unknown, TG002 suspended, TG003 not ready, TG004 too old, TG005 no tenant entered,
/// TG006 lives in another database, TG007 the pool has nobody to hand out.
const Component& gate_component();

/// CREATE FUNCTION of enter() and leave(): the gate inside a tenant's own database has the same,
/// they only ask another admission().
std::string_view enter_function();
std::string_view leave_function();

/// What the bodies of admission() and claim() have in common, as PL/pgSQL: refuse a
/// minimum_revision that is none (22023), and read the head out of `mark` and refuse one that is
/// too old (TG004).
std::string revision_is_named();
std::string revision_is_enough();

}  // namespace tenantctl
