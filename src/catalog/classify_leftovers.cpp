#include "catalog/classify_leftovers.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/doubts.h"
#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

constexpr int kReferenceLikely = 5;
constexpr int kReferenceCertain = 10;

class Leftovers {
 public:
  Leftovers(const Graph& graph, const Root& root, const FactsByTable& facts,
            std::vector<Verdict>& verdicts)
      : graph_(graph), root_(root), facts_(facts), verdicts_(verdicts) {}

  void run() {
    for (bool again = true; again;) {
      again = false;
      for (std::size_t i = 0; i < verdicts_.size(); ++i) {
        if (verdicts_[i].done) continue;
        ReferenceEvidence evidence = reference_evidence(graph_, root_, i, verdicts_, facts_);
        if (evidence.score < kReferenceLikely) continue;
        again |=
            settle(i, TableClass::reference,
                   evidence.score >= kReferenceCertain ? Confidence::certain : Confidence::likely,
                   std::move(evidence.why));
      }
    }
    // Parents before children: what must belong to a question is one too.
    for (bool again = true; again;) {
      again = false;
      for (std::size_t i = 0; i < verdicts_.size(); ++i) {
        if (verdicts_[i].done || waits_for_a_parent(graph_, i, verdicts_)) continue;
        leftover(i);
        again = true;
      }
    }
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (!verdicts_[i].done) leftover(i);
    }
    for (bool again = true; again;) {
      again = false;
      for (std::size_t i = 0; i < verdicts_.size(); ++i) again |= take_back(i);
    }
  }

 private:
  bool settle(std::size_t i, TableClass table_class, Confidence confidence,
              std::vector<std::string> why) {
    Verdict& v = verdicts_[i];
    v.done = true;
    v.table_class = table_class;
    v.confidence = confidence;
    v.why.insert(v.why.end(), why.begin(), why.end());
    return true;
  }

  // What was called shared before its parent was judged, and the parent is not: a question after all.
  bool take_back(std::size_t i) {
    Verdict& v = verdicts_[i];
    if (v.decided || v.table_class != TableClass::reference) return false;
    const auto parent = std::ranges::find_if(graph_.out[i], [&](std::size_t e) {
      const Edge& edge = graph_.edges[e];
      const Verdict& other = verdicts_[edge.to];
      return edge.not_null && !edge.actor && other.table_class != TableClass::reference &&
             other.table_class != TableClass::system && other.table_class != TableClass::ignored;
    });
    if (parent == graph_.out[i].end()) return false;
    v.table_class = TableClass::organization;
    v.confidence = Confidence::unsure;
    v.why.push_back(fmt::format("but each of its rows names one of {}, which is not shared",
                                to_string(graph_.edges[*parent].step.references)));
    return true;
  }

  static bool holds_content(const TableShape& table) {
    return !application_wide(table.name.name) &&
           std::ranges::any_of(table.columns, [](const Column& c) {
             return content_column(c) || c.type == "jsonb" || c.type == "json";
           });
  }

  // A name and a value, and hardly more.
  static bool settings(const TableShape& table) {
    static const std::set<std::string_view> kSettings = {"setting", "option", "parameter",
                                                         "param",   "config", "configuration"};
    return kSettings.contains(head_noun(table.name.name)) && table.columns.size() <= 6 &&
           polymorphic_pairs(table).empty();
  }

  // Amounts and dates: things that happened to somebody.
  static bool holds_dealings(const TableShape& table) {
    return std::ranges::any_of(
               table.columns,
               [&](const Column& c) { return c.type == "numeric" || c.type == "money"; }) &&
           std::ranges::any_of(table.columns, [&](const Column& c) {
             return c.type == "date" || c.type.starts_with("timestamp");
           });
  }

  // A name and a value, nothing else, and nothing that it could belong to.
  bool name_and_value(std::size_t i) const {
    const TableShape& table = *graph_.tables[i];
    const Index* key = table.primary_key();
    if (key == nullptr || key->columns.size() != 1 || table.columns.size() > 4) return false;
    const Column* name = table.column(key->columns[0]);
    if (name == nullptr || family_of(name->type) != TypeFamily::text) return false;
    return std::ranges::any_of(table.columns, [](const Column& c) {
      static const std::set<std::string_view> kValue = {"value",  "val",    "wert",   "valor",
                                                        "valeur", "valore", "waarde", "data"};
      const auto words = words_of(c.name);
      return !words.empty() && kValue.contains(words.back());
    });
  }

  // What programs write about themselves: which one, when, and how it ended. Nobody is in it.
  static bool log_of_programs(const TableShape& table) {
    static const std::set<std::string_view> kLog = {"log",   "err",    "prot",  "protokoll",
                                                    "run",   "lauf",   "error", "trace",
                                                    "batch", "fehler", "lock"};
    static const std::set<std::string_view> kProgram = {
        "rc",    "exit",    "proc",   "procedure", "program", "prog",       "job",      "batch",
        "host",  "level",   "logger", "exception", "stack",   "stacktrace", "start",    "started",
        "begin", "beginn",  "end",    "ended",     "ende",    "finished",   "duration", "error",
        "run",   "process", "pid",    "message",   "meldung", "severity",   "module",   "msg"};
    const auto named = words_of(table.name.name);
    if (std::ranges::none_of(named, [](const auto& w) { return kLog.contains(singular(w)); }))
      return false;
    const auto traits = std::ranges::count_if(table.columns, [](const Column& c) {
      const auto words = words_of(c.name);
      return std::ranges::any_of(words, [](const auto& w) { return kProgram.contains(w); });
    });
    return traits >= 2;
  }

  // Whoever holds the token, until it expires; not whose it was.
  static bool passing_tokens(const TableShape& table) {
    bool token = false;
    bool expires = false;
    for (const Column& column : table.columns) {
      const auto words = words_of(column.name);
      token = token || (!words.empty() && words.back() == "token");
      expires = expires || std::ranges::any_of(words, [](const std::string& w) {
                  return w.starts_with("expire") || w == "expiry";
                });
    }
    return token && expires && table.columns.size() <= 6;
  }

  // Nothing leads from here or to here, and nothing seems to.
  bool alone(std::size_t i) const {
    return graph_.out[i].empty() && graph_.in[i].empty() && graph_.self[i].empty() &&
           unresolved_columns(graph_, root_, i).empty() &&
           polymorphic_pairs(*graph_.tables[i]).empty();
  }

  // Machinery that is nobody's by its shape. False: something else.
  bool shaped_like_machinery(std::size_t i) {
    if (!alone(i)) return false;
    const TableShape& table = *graph_.tables[i];
    const bool personal = std::ranges::any_of(
        table.columns, [](const Column& c) { return !personal_label(c, false).empty(); });
    const auto machinery = [&](const char* why) {
      return settle(i, TableClass::system, Confidence::likely,
                    {why, "nothing leads from it to any other table, or to it"});
    };
    if (name_and_value(i) && !personal && lookup_weight(table.name.name) < 3)
      return machinery("a name and a value: settings of the application");
    if (log_of_programs(table) && !personal) return machinery("what programs write of themselves");
    if (passing_tokens(table)) {
      return settle(i, TableClass::system, Confidence::unsure,
                    {"tokens that expire, which name neither a person nor an organization by key"});
    }
    return false;
  }

  // An address that one signs in with, beside the machine that one came from.
  bool attempts_to_sign_in(std::size_t i) {
    if (!alone(i)) return false;
    const Column* who = nullptr;
    bool from_where = false;
    for (const Column& column : graph_.tables[i]->columns) {
      const auto label = personal_label(column, true);
      if (who == nullptr && (label == "email" || label == "online_id")) who = &column;
      from_where = from_where || label == "ip_address" || label == "device";
    }
    if (who == nullptr || !from_where) return false;
    verdicts_[i].person = who->name;
    return settle(
        i, TableClass::person, Confidence::unsure,
        {fmt::format("{} is what a person signs in with, and nothing names an organization",
                     who->name)});
  }

  void leftover(std::size_t i) {
    const TableShape& table = *graph_.tables[i];
    const auto doubts = doubts_about(graph_, root_, i, verdicts_);
    if (!doubts.empty()) {
      settle(i, TableClass::organization, Confidence::unsure,
             {doubts.front() + ", and no sure way leads to an organization"});
      return;
    }
    const auto unresolved = unresolved_columns(graph_, root_, i);
    if (shaped_like_machinery(i)) return;
    if (auto why = machinery_table(table.name.name)) {
      const bool solid = unresolved.empty() && graph_.out[i].empty() && solid_machinery(table);
      settle(i, TableClass::system, solid ? Confidence::likely : Confidence::unsure,
             {*why, "no way leads to an organization"});
      return;
    }
    if (of_person(i) || attempts_to_sign_in(i)) return;
    const bool personal = std::ranges::any_of(table.columns, [&](const Column& c) {
      return !personal_label(c, about_people(table)).empty();
    });
    const bool used = std::ranges::any_of(graph_.in[i], [&](std::size_t e) {
      return verdicts_[graph_.edges[e].from].of_organization();
    });
    const auto question = [&](TableClass table_class, std::string why) {
      settle(i, table_class, Confidence::unsure, {std::move(why)});
    };
    if (settings(table) && (!used || application_wide(table.name.name))) {
      question(TableClass::system, "settings of the application, as it seems, and of nobody else");
    } else if (!polymorphic_pairs(table).empty()) {
      question(TableClass::organization,
               "its rows belong to rows of several tables, named by type and id: it needs a key of "
               "its own");
    } else if (used) {
      question(TableClass::organization,
               "organization tables use its rows, but no way leads from it to an organization, and "
               "nothing shows that its rows are shared");
    } else if (!unresolved.empty()) {
      question(TableClass::organization,
               unresolved.front() + " names a row of a table that was not found");
    } else if (of_machinery(i)) {
      question(TableClass::system, "all that it hangs on is machinery");
    } else if (std::ranges::any_of(graph_.out[i],
                                   [&](std::size_t e) { return !graph_.edges[e].actor; })) {
      question(TableClass::organization,
               "no sure way leads to an organization, and nothing shows that its rows are shared");
    } else if (personal || holds_content(table) || holds_dealings(table) ||
               (lookup_weight(table.name.name) < 0 && !application_wide(table.name.name))) {
      question(
          TableClass::organization,
          personal
              ? "it holds personal data, and no way leads to an organization or a person"
              : "its name is that of things which organizations make, but no way leads to one");
    } else {
      question(
          TableClass::system,
          "no way leads to an organization, nothing uses its rows, and nothing shows that they "
          "are shared");
    }
  }

  bool of_machinery(std::size_t i) const {
    bool any = false;
    for (std::size_t e : graph_.out[i]) {
      const Verdict& parent = verdicts_[graph_.edges[e].to];
      if (graph_.edges[e].actor) continue;
      if (!parent.done || parent.table_class != TableClass::system) return false;
      any = true;
    }
    return any;
  }

  // Keyed by what a person signs in with: password_resets (email, token).
  bool of_person(std::size_t i) {
    const TableShape& table = *graph_.tables[i];
    for (std::size_t e : graph_.out[i]) {
      const Edge& edge = graph_.edges[e];
      const Verdict& parent = verdicts_[edge.to];
      if (edge.actor || parent.table_class != TableClass::person || parent.person.empty() ||
          edge.step.referenced_columns != std::vector{parent.person} ||
          !polymorphic_pairs(table).empty())
        continue;
      verdicts_[i].person = edge.step.columns[0];
      return settle(i, TableClass::person, Confidence::unsure,
                    {fmt::format("{} names a person, if anyone, and nothing names an organization",
                                 edge.step.columns[0])});
    }
    const Index* key = table.primary_key();
    if (key == nullptr || key->columns.size() != 1) return false;
    const Column* column = table.column(key->columns[0]);
    const auto label = column == nullptr ? std::string_view() : personal_label(*column, false);
    if (label != "email" && label != "online_id") return false;
    verdicts_[i].person = column->name;
    return settle(i, TableClass::person, Confidence::unsure,
                  {fmt::format("its key {} is what a person signs in with", column->name)});
  }

  const Graph& graph_;
  const Root& root_;
  const FactsByTable& facts_;
  std::vector<Verdict>& verdicts_;
};

}  // namespace

void classify_leftovers(const Graph& graph, const Root& root, const FactsByTable& facts,
                        std::vector<Verdict>& verdicts) {
  Leftovers(graph, root, facts, verdicts).run();
}

}  // namespace domicile::catalog
