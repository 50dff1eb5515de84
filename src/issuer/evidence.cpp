#include "issuer/evidence.h"

#include <condition_variable>
#include <memory>
#include <mutex>

namespace domicile::issuer {

domain::Event Evidence::event(domain::EventKind kind, domain::Outcome outcome,
                              const http::Request& request) const {
  domain::Event event;
  event.kind = kind;
  event.outcome = outcome;
  event.time = clock_.now();
  event.region = region_;
  event.source_ip = request.peer_ip;
  event.request_id = request.request_id;
  event.operation = "oauth2.token";
  return event;
}

domain::Event Evidence::refused(const http::Request& request, std::string_view client,
                                std::string_view organization, std::string_view cause,
                                std::string_view grant_type) const {
  auto out = event(domain::EventKind::sign_in, domain::Outcome::denied, request);
  out.organization = domain::OrgKey(organization);
  out.reason = "sign_in_refused";
  if (!client.empty()) out.resource = "client:" + std::string(client);
  out.details.emplace_back("cause", cause);
  out.details.emplace_back("grant_type", grant_type.empty() ? "?" : grant_type);
  return out;
}

domain::Event Evidence::wrong_region(std::string_view organization,
                                     const http::Request& request) const {
  domain::Event event;
  event.kind = domain::EventKind::sign_in;
  event.outcome = domain::Outcome::denied;
  event.time = clock_.now();
  event.region = region_;
  event.organization = domain::OrgKey(organization);
  event.request_id = request.request_id;
  event.operation = "oauth2.token";
  event.reason = "wrong_region";
  return event;
}

Result<void> Evidence::record(std::vector<domain::Event> events) {
  struct Group {
    std::mutex mutex;
    std::condition_variable stored;
    std::size_t left;
    Result<void> outcome;
  };
  const auto group = std::make_shared<Group>();  // the sink may still hold it when record() returns
  group->left = events.size();
  for (auto& event : events) {
    sink_.submit(std::move(event), [group](Result<std::uint64_t> sequence) {
      const std::lock_guard lock(group->mutex);
      if (!sequence) group->outcome = std::unexpected(std::move(sequence).error());
      if (--group->left == 0) group->stored.notify_one();
    });
  }
  std::unique_lock lock(group->mutex);
  group->stored.wait(lock, [&] { return group->left == 0; });
  return group->outcome;
}

}  // namespace domicile::issuer
