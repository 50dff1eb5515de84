#include "runtime/cores.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

#include <sched.h>

namespace domicile::runtime {
namespace {

std::string first_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// The process's own group and those above it: the least of their quotas counts.
std::optional<unsigned> quota() {
  const std::string line = first_line("/proc/self/cgroup");  // "0::/system.slice/domicile.service"
  const std::filesystem::path root = "/sys/fs/cgroup";
  std::filesystem::path group = "/";
  if (line.starts_with("0::/")) group = line.substr(3);
  std::optional<unsigned> least;
  for (;; group = group.parent_path()) {
    const auto found = cores_of_quota(first_line(root / group.relative_path() / "cpu.max"));
    if (found) least = std::min(*found, least.value_or(*found));
    if (group == group.parent_path()) return least;
  }
}

}  // namespace

std::optional<unsigned> cores_of_quota(std::string_view cpu_max) {
  std::uint64_t allowed_us = 0, period_us = 0;
  const auto first = std::from_chars(cpu_max.begin(), cpu_max.end(), allowed_us);
  if (first.ec != std::errc{} || first.ptr == cpu_max.end() || *first.ptr != ' ') {
    return std::nullopt;
  }
  const auto second = std::from_chars(first.ptr + 1, cpu_max.end(), period_us);
  if (second.ec != std::errc{} || period_us == 0 || allowed_us == 0) return std::nullopt;
  const std::uint64_t cores = allowed_us / period_us + (allowed_us % period_us != 0 ? 1 : 0);
  return static_cast<unsigned>(std::min<std::uint64_t>(cores, 4096));
}

unsigned available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  unsigned cores = 1;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    cores = static_cast<unsigned>(CPU_COUNT(&set));
  }
  return std::max(1u, std::min(cores, quota().value_or(cores)));
}

}  // namespace domicile::runtime
