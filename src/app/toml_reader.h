// Reads a TOML table strictly: typed getters collect every error with its line, and finish() also
// reports the keys that nobody asked for. For the configuration files of this module.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::app {

class TomlReader {
 public:
  // `name` is the file's name in errors.
  static Result<TomlReader> parse(std::string_view text, const std::string& name);
  TomlReader(TomlReader&&) noexcept;
  TomlReader& operator=(TomlReader&&) noexcept;
  ~TomlReader();

  // Keys are dotted: "http.listen". An absent key is nullopt, or an error for the required_ forms
  // (which then return an empty value; finish() reports it).
  std::optional<std::string> text(std::string_view key);
  std::string required_text(std::string_view key, std::string_view remedy);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<bool> boolean(std::string_view key);

  // A list of texts; empty when absent.
  std::vector<std::string> texts(std::string_view key);

  bool has(std::string_view key) const;
  // Adds an error about a key's value, with the key's line.
  void error(std::string_view key, std::string_view what);
  // Everything collected, one line each, as one Code::invalid error; success when there is none.
  Result<void> finish();

 private:
  struct State;
  explicit TomlReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace domicile::app
