// CHECK(condition): our own logic, always on, aborts with the place. Never for input: a user, a
// peer or a file that is wrong gets an Error.
#pragma once

namespace domicile::detail {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define CHECK(condition)                 \
  (static_cast<bool>(condition) ? void() \
                                : domicile::detail::check_failed(#condition, __FILE__, __LINE__))
