#include "reference/change_set.h"

#include <algorithm>

#include <fmt/format.h>

namespace domicile::reference {

using wire::pgoutput::Field;
using wire::pgoutput::FieldKind;
using wire::pgoutput::Tuple;

namespace {

std::unexpected<Error> misfit(const Target& target) {
  return fail(Code::invalid,
              fmt::format("a row of {} does not fit the columns that were announced, or has no key",
                          to_string(target.name)),
              "pgoutput_malformed");
}

}  // namespace

std::optional<std::string> key_of(const TableWriter& writer, const Tuple& row) {
  std::string key;
  for (const std::size_t i : writer.key()) {
    if (i >= row.size() || row[i].kind != FieldKind::text) return std::nullopt;
    if (writer.key().size() == 1) return std::string(row[i].value);
    key += fmt::format("{}:", row[i].value.size());
    key += row[i].value;
  }
  return key.empty() ? std::nullopt : std::optional(std::move(key));
}

bool needs_order(const Target& target, const wire::pgoutput::AnyMessage& parsed) {
  if (std::holds_alternative<wire::pgoutput::Truncate>(parsed)) return true;
  const auto* update = std::get_if<wire::pgoutput::Update>(&parsed);
  return update != nullptr && !update->old.empty() &&
         key_of(*target.writer, update->old) != key_of(*target.writer, update->row);
}

Result<void> ChangeSet::add(const Target& target, std::string_view message,
                            const wire::pgoutput::AnyMessage& parsed) {
  TableChanges& table = tables_[target.name];
  table.target = &target;
  log_.push_back({&target, message});
  const Tuple none;
  if (const auto* insert = std::get_if<wire::pgoutput::Insert>(&parsed)) {
    ++table.inserts;
    return put(table, Effect::insert, insert->row, none);
  }
  if (const auto* update = std::get_if<wire::pgoutput::Update>(&parsed)) {
    ++table.updates;
    return put(table, Effect::update, update->row, update->old);
  }
  const auto& removed = std::get<wire::pgoutput::Delete>(parsed);
  ++table.deletes;
  return put(table, Effect::remove, removed.old, none);
}

Result<void> ChangeSet::put(TableChanges& table, Effect effect, const Tuple& row,
                            const Tuple& old) {
  const Target& target = *table.target;
  if (row.size() != target.columns) return misfit(target);
  const auto key = key_of(*target.writer, row);
  if (!old.empty()) {
    const auto before = key_of(*target.writer, old);
    if (!before) return misfit(target);
    if (before != key) net_ = false;  // another key, or one that is too long to be repeated
  } else if (!key) {
    return misfit(target);
  }
  if (!net_) return {};
  const auto [found, fresh] = table.by_key.try_emplace(*key, table.rows.size());
  if (fresh) {
    NetRow net{.effect = effect, .first = table.fields.size()};
    net.partial = effect == Effect::update && std::ranges::any_of(row, [](const Field& field) {
                    return field.kind == FieldKind::unchanged;
                  });
    table.rows.push_back(net);
    table.fields.insert(table.fields.end(), row.begin(), row.end());
    return {};
  }
  NetRow& net = table.rows[found->second];
  if (effect == Effect::remove) {
    net.effect = Effect::remove;
    return {};
  }
  if (net.effect == Effect::remove) {
    if (effect == Effect::update) return misfit(target);
    net.effect = Effect::update;  // taken away and made again: the same row with other values
    net.partial = false;
  }
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i].kind != FieldKind::unchanged) table.fields[net.first + i] = row[i];
  }
  if (net.partial) {
    const auto* first = &table.fields[net.first];
    net.partial = std::any_of(first, first + target.columns, [](const Field& field) {
      return field.kind == FieldKind::unchanged;
    });
  }
  return {};
}

void ChangeSet::truncate(std::vector<const Target*> targets, std::string_view message) {
  net_ = false;
  for (const Target* target : targets) {
    tables_[target->name].target = target;
    log_.push_back({target, message});
  }
}

void ChangeSet::clear() {
  tables_.clear();
  log_.clear();
  net_ = true;
}

}  // namespace domicile::reference
