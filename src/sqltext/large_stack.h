// PostgreSQL's parser and whatever walks its trees recurse as deep as the SQL nests; in the server a
// stack check stops them, here nothing would. Hostile or generated SQL is therefore handled on a
// thread with a stack that holds the deepest tree our limits on length and tokens allow.
#pragma once

#include <functional>

namespace domicile::sqltext {

// Runs `body` on a thread with a stack of 512 MB (address space; only what is used becomes memory)
// and returns when it is done. Within such a thread it just calls. `body` must not throw.
void on_large_stack(const std::function<void()>& body);

}  // namespace domicile::sqltext
