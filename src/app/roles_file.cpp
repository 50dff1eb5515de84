#include "app/roles_file.h"

#include <algorithm>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/file.h"

namespace domicile::app {
namespace {

class Reader {
 public:
  Reader(const std::string& name) : name_(name) {}

  void error(const toml::node& at, std::string_view what) {
    errors_ += fmt::format("{}{}:{}: {}", errors_.empty() ? "" : "\n", name_,
                           at.source().begin.line, what);
  }

  void read_role(std::string_view name, const toml::node& node) {
    const auto role = domain::parse_role_name(name);
    if (!role) return error(node, role.error().message);
    const toml::array* list = node.as_array();
    if (list == nullptr)
      return error(node, fmt::format("role {}: write a list of permissions", name));
    std::vector<domain::Permission> permissions;
    for (const toml::node& item : *list) {
      const auto text = item.value_exact<std::string>();
      auto permission =
          text ? domain::parse_permission(*text) : fail(Code::invalid, "a permission is text");
      if (!permission) {
        error(item, fmt::format("role {}: {}", name, permission.error().message));
      } else {
        permissions.push_back(std::move(*permission));
      }
    }
    std::ranges::sort(permissions);
    permissions.erase(std::ranges::unique(permissions).begin(), permissions.end());
    roles_[*role] = std::move(permissions);
  }

  Result<issuer::RoleBook> finish() {
    if (!errors_.empty()) return fail(Code::invalid, errors_);
    if (roles_.empty())
      return fail(Code::invalid,
                  name_ + ": no roles; write a table [roles] with name = [\"noun:verb\", ...]");
    return issuer::RoleBook(std::move(roles_));
  }

 private:
  const std::string& name_;
  std::string errors_;
  issuer::RoleBook::Roles roles_;
};

}  // namespace

Result<issuer::RoleBook> parse_roles_file(std::string_view text, const std::string& name) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return fail(Code::invalid,
                fmt::format("{}:{}: {}", name, error.source().begin.line, error.description()));
  }
  Reader reader(name);
  for (const auto& [key, node] : table) {
    const toml::table* roles = node.as_table();
    if (key.str() != "roles" || roles == nullptr) {
      reader.error(node,
                   fmt::format("unknown key '{}': only the table [roles] stands here", key.str()));
      continue;
    }
    for (const auto& [role, permissions] : *roles) reader.read_role(role.str(), permissions);
  }
  return reader.finish();
}

Result<issuer::RoleBook> load_roles_file(const std::filesystem::path& file) {
  if (file.empty()) return issuer::RoleBook::built_in();
  return parse_roles_file(TRY(read_file(file, 1u << 20)), file.string());
}

}  // namespace domicile::app
