#include "app/local_context.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/file.h"
#include "crypto/sha256.h"

namespace domicile::app {

std::string LocalContext::url(const LocalRegion& region) {
  return fmt::format("https://127.0.0.1:{}", port(region, "door"));
}

Result<void> LocalContext::once(const LocalRegion& region, const std::string& step,
                                const std::string& fingerprint, const std::string& doing,
                                const std::function<Result<void>()>& body) {
  TRY(signals.check());
  auto& done = of(region).done;
  if (const auto found = done.find(step); found != done.end() && found->second == fingerprint)
    return {};
  progress.step(region.region.id.view(), doing);
  TRY(body());
  done[step] = fingerprint;
  return save_state(paths.data, state);
}

Result<std::string> fingerprint_of(const std::vector<std::filesystem::path>& files,
                                   const std::vector<std::string>& texts) {
  crypto::Sha256 sum;
  for (const auto& file : files) {
    const std::string content = TRY(read_file(file, 256u << 20));
    sum.update(fmt::format("{}:", content.size())).update(content);
  }
  for (const std::string& text : texts) sum.update(fmt::format("{}:", text.size())).update(text);
  return to_hex(crypto::view(sum.finish())).substr(0, 32);
}

}  // namespace domicile::app
