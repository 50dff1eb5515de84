// What crosses the border in a comparison: JSON for what is opened and how far it is, bytes for the rest.
// Decoders are strict and bounded: whatever is malformed is Code::invalid, and nothing of it is used.
#pragma once

#include <string>
#include <string_view>

#include "reference/compare_master.h"

namespace domicile::reference {

std::string encode_open(
    const CompareOpen& request);  // without the region, which the certificate names
Result<CompareOpen> decode_open(std::string_view json);
std::string encode_opened(const CompareOpened& opened);
Result<CompareOpened> decode_opened(std::string_view json);
std::string encode_progress(const ScanProgress& progress);
Result<ScanProgress> decode_progress(std::string_view json);

// 16 bytes each.
std::string encode_digests(const Digests& digests);
Result<Digests> decode_digests(std::string_view bytes, std::size_t most);
// For each row its hash, the length of what follows (4 bytes, the highest first), and a row as COPY's
// binary format has it, of text fields.
std::string encode_rows(const std::vector<MasterRow>& rows);
Result<std::vector<MasterRow>> decode_rows(std::string_view bytes, std::size_t most);

}  // namespace domicile::reference
