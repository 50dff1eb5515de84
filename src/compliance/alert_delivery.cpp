#include "compliance/alert_delivery.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::compliance {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

// 2 s, 4 s, 8 s ... to a quarter of an hour; a little earlier or later by the message's own id, so
// that what failed together does not come back together.
milliseconds backoff(unsigned attempts, std::string_view id) {
  constexpr std::int64_t kMostMs = 15 * 60'000;
  const std::int64_t base = std::min(kMostMs, std::int64_t{1000} << std::min(attempts, 20u));
  std::uint32_t mixed = 2166136261u;
  for (const char c : id) mixed = (mixed ^ static_cast<unsigned char>(c)) * 16777619u;
  return milliseconds(base - base / 8 +
                      static_cast<std::int64_t>(mixed % 1000) * (base / 4) / 1000);
}

bool accepted(const Result<int>& status) { return status && *status >= 200 && *status < 300; }

std::string why_not(const Result<int>& status) {
  return status ? fmt::format("it answered {}", *status) : status.error().message;
}

detect::Level level_of(std::string_view name) {
  using detect::Level;
  for (const Level level : {Level::low, Level::medium, Level::high, Level::critical}) {
    if (detect::to_string(level) == name) return level;
  }
  return Level::informational;
}

}  // namespace

AlertDelivery::AlertDelivery(DeliveryOptions options) : options_(std::move(options)) {
  for (const Receiver& receiver : options_.receivers) {
    lines_.emplace_back();
    lines_.back().stats.name = receiver.name;
  }
}

bool AlertDelivery::wants(const Receiver& receiver, const Alert& alert) const {
  return level_of(alert.level) >= receiver.least;
}

void AlertDelivery::enqueue(Line& line, const Alert& alert) {
  auto message = webhook_message(alert, options_.origin);
  const bool known = std::ranges::any_of(
      line.waiting, [&](const Waiting& w) { return w.message.id == message.id; });
  if (known) return;
  if (line.waiting.size() >= options_.waiting_max) {
    fresh_.push_back(bury(line, line.waiting.begin(), "too many messages wait for this receiver"));
  }
  line.waiting.push_back({.message = std::move(message)});
}

void AlertDelivery::opened(const Alert& alert) {
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if (!wants(options_.receivers[i], alert)) continue;
    if (options_.receivers[i].kind == Receiver::Kind::webhook) {
      enqueue(lines_[i], alert);
    } else {
      lines_[i].changed = true;
    }
  }
}

void AlertDelivery::closed(const Alert& alert) {
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if (!wants(options_.receivers[i], alert)) continue;
    if (options_.receivers[i].kind == Receiver::Kind::webhook) {
      enqueue(lines_[i], alert);
    } else {
      if (lines_[i].closed.size() >= options_.waiting_max) {
        lines_[i].closed.erase(lines_[i].closed.begin());  // it ends by itself over there
      }
      lines_[i].closed.push_back(alert);
      lines_[i].changed = true;
    }
  }
}

std::optional<AlertDelivery::Job> AlertDelivery::next(std::size_t receiver,
                                                      const std::vector<Alert>& open,
                                                      WallTime now) {
  if (lines_[receiver].busy) return std::nullopt;
  auto job = options_.receivers[receiver].kind == Receiver::Kind::webhook
                 ? next_message(receiver, now)
                 : next_round(receiver, open, now);
  if (job) lines_[receiver].busy = job->id;
  return job;
}

std::optional<AlertDelivery::Job> AlertDelivery::next_round(std::size_t i,
                                                            const std::vector<Alert>& open,
                                                            WallTime now) {
  Line& line = lines_[i];
  const bool now_due = now >= line.due || (line.changed && line.failures == 0);
  if (!now_due) return std::nullopt;
  std::vector<Alert> told;
  Job job;
  job.receiver = i;
  for (const Alert& alert : line.closed) {
    job.closed_told.push_back(alert.id);
    // The same labels open again: Alertmanager would take the end for the new one's.
    const bool again = std::ranges::any_of(open, [&](const Alert& o) {
      return o.rule_id == alert.rule_id && o.organization == alert.organization &&
             o.subject == alert.subject;
    });
    if (!again) told.push_back(alert);
  }
  for (const Alert& alert : open) {
    if (wants(options_.receivers[i], alert)) told.push_back(alert);
  }
  line.changed = false;
  line.due = now + options_.resend_ms;
  if (told.empty()) {
    line.closed.clear();
    return std::nullopt;
  }
  std::string base = options_.receivers[i].url;
  while (base.ends_with('/')) base.pop_back();
  job.request = {.method = "POST",
                 .url = base + "/api/v2/alerts",
                 .headers = {{"content-type", "application/json"}},
                 .body = alertmanager_body(told, options_.origin, now, options_.resend_ms * 5)};
  return job;
}

std::optional<AlertDelivery::Job> AlertDelivery::next_message(std::size_t i, WallTime now) {
  std::set<std::string_view> earlier;  // alerts whose beginning the receiver does not know yet
  for (const Waiting& waiting : lines_[i].waiting) {
    const std::string_view id = waiting.message.id;
    if (!earlier.insert(id.substr(0, id.find('.'))).second || waiting.not_before > now) continue;
    Job job;
    job.receiver = i;
    job.id = waiting.message.id;
    job.request = {
        .method = "POST",
        .url = options_.receivers[i].url,
        .headers = webhook_headers(waiting.message, now.time_since_epoch().count() / 1000,
                                   options_.receivers[i].key),
        .body = waiting.message.body};
    return job;
  }
  return std::nullopt;
}

std::optional<DeadLetter> AlertDelivery::done(const Job& job, const Result<int>& status,
                                              WallTime now) {
  Line& line = lines_[job.receiver];
  line.busy.reset();
  if (accepted(status)) {
    ++line.stats.delivered;
    line.stats.last_error.clear();
    line.failures = 0;
  } else {
    ++line.stats.failed;
    ++line.failures;
    line.stats.last_error = why_not(status);
  }
  if (options_.receivers[job.receiver].kind == Receiver::Kind::alertmanager) {
    if (accepted(status)) {
      std::erase_if(line.closed, [&](const Alert& alert) {
        return std::ranges::find(job.closed_told, alert.id) != job.closed_told.end();
      });
    } else {
      line.due = now + std::min(options_.resend_ms, backoff(line.failures, line.stats.name));
    }
    return std::nullopt;
  }
  const auto at =
      std::ranges::find_if(line.waiting, [&](const Waiting& w) { return w.message.id == job.id; });
  if (at == line.waiting.end()) return std::nullopt;
  if (accepted(status)) {
    line.waiting.erase(at);
    return std::nullopt;
  }
  at->attempts += 1;
  at->not_before = now + backoff(at->attempts, at->message.id);
  if (status && *status == 410) return bury(line, at, "the receiver is gone (410)");
  if (at->attempts < options_.attempts_max) return std::nullopt;
  return bury(line, at,
              fmt::format("{} attempts, and at the last {}", at->attempts, why_not(status)));
}

DeadLetter AlertDelivery::bury(Line& line, std::deque<Waiting>::iterator at, std::string why) {
  DeadLetter letter{line.stats.name, at->message.id, std::move(why)};
  line.waiting.erase(at);
  ++line.stats.dead;
  dead_.push_back(letter);
  if (dead_.size() > options_.dead_max) dead_.pop_front();
  return letter;
}

std::vector<DeadLetter> AlertDelivery::take_dead() { return std::exchange(fresh_, {}); }

std::vector<ReceiverStats> AlertDelivery::stats() const {
  std::vector<ReceiverStats> out;
  for (const Line& line : lines_) {
    out.push_back(line.stats);
    out.back().waiting = line.waiting.size() + line.closed.size();
  }
  return out;
}

std::string AlertDelivery::save() const {
  Json receivers = Json::object();
  for (const Line& line : lines_) {
    Json waiting = Json::array(), closed = Json::array();
    for (const Waiting& w : line.waiting) {
      waiting.push_back({{"id", w.message.id},
                         {"body", w.message.body},
                         {"attempts", w.attempts},
                         {"not_before_ms", w.not_before.time_since_epoch().count()}});
    }
    for (const Alert& alert : line.closed) closed.push_back(Json::parse(to_json(alert)));
    receivers[line.stats.name] = {
        {"waiting", std::move(waiting)}, {"closed", std::move(closed)}, {"dead", line.stats.dead}};
  }
  Json dead = Json::array();
  for (const DeadLetter& d : dead_)
    dead.push_back({{"receiver", d.receiver}, {"id", d.id}, {"why", d.why}});
  return Json({{"receivers", std::move(receivers)}, {"dead", std::move(dead)}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<void> AlertDelivery::load(std::string_view json) {
  try {
    const Json state = Json::parse(json);
    for (const Json& d : state.at("dead")) {
      dead_.push_back({d.at("receiver").get<std::string>(), d.at("id").get<std::string>(),
                       d.at("why").get<std::string>()});
    }
    for (Line& line : lines_) {
      const auto found = state.at("receivers").find(line.stats.name);
      if (found == state.at("receivers").end()) continue;  // a new receiver, or a new name
      line.stats.dead = found->at("dead").get<std::uint64_t>();
      for (const Json& w : found->at("waiting")) {
        line.waiting.push_back(
            {.message = {w.at("id").get<std::string>(), w.at("body").get<std::string>()},
             .attempts = w.at("attempts").get<unsigned>(),
             .not_before = WallTime(milliseconds(w.at("not_before_ms").get<std::int64_t>()))});
      }
      for (const Json& alert : found->at("closed")) {
        line.closed.push_back(TRY(alert_from_json(alert.dump())));
      }
    }
  } catch (const Json::exception& problem) {
    return fail(Code::invalid, std::string("saved deliveries: ") + problem.what());
  }
  return {};
}

}  // namespace domicile::compliance
