#include "reference/withheld.h"

#include <algorithm>

namespace domicile::reference {

using wire::pgoutput::FieldKind;
using wire::pgoutput::Tuple;

namespace {

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(value >> shift & 0xFF));
}

// A value that did not change and is stored elsewhere is one: only long values are.
bool is_refused(const Withholding& relation, const Tuple& row) {
  return std::ranges::any_of(relation.refuse, [&](std::size_t i) {
    return i >= row.size() || row[i].kind != FieldKind::null;
  });
}

std::string delete_message(std::uint32_t id, const Withholding& relation, const Tuple& row) {
  std::string out = "D";
  put(out, id, 4);
  out.push_back('K');
  put(out, row.size(), 2);
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (std::ranges::find(relation.key, i) == relation.key.end() ||
        row[i].kind != FieldKind::text) {
      out.push_back('n');
      continue;
    }
    out.push_back('t');
    put(out, row[i].value.size(), 4);
    out.append(row[i].value);
  }
  return out;
}

}  // namespace

Result<std::optional<std::string>> without_refused(const Withholding& relation,
                                                   std::string_view message) {
  const auto parsed = TRY(wire::pgoutput::parse(message));
  if (const auto* insert = std::get_if<wire::pgoutput::Insert>(&parsed)) {
    if (is_refused(relation, insert->row)) return std::nullopt;
  } else if (const auto* update = std::get_if<wire::pgoutput::Update>(&parsed)) {
    if (is_refused(relation, update->row)) {
      return delete_message(update->relation, relation,
                            update->old.empty() ? update->row : update->old);
    }
  }
  return std::string(message);
}

}  // namespace domicile::reference
