// Which columns hold data about a person, by name, type and comment.
#include <algorithm>
#include <set>

#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

struct Rule {
  std::string_view label;
  std::set<std::string_view> phrases;  // consecutive words of the column's name, joined with "_"
};

// English, short forms, and the usual words of German, French, Spanish, Italian and Dutch.
const std::vector<Rule> kRules = {
    {"email", {"email", "e_mail", "mail_address", "emailaddress", "courriel", "correo"}},
    {"phone",
     {"phone", "telephone", "mobile", "cell_phone", "msisdn", "fax", "phonenumber", "tel", "mob",
      "telefon", "telefono", "handy", "mobil"}},
    {"birth_date",
     {"geburtsdatum", "geb_datum", "date_naissance", "fecha_nacimiento", "birth_date", "birthdate",
      "birthday", "date_of_birth", "dob", "born_on", "birth"}},
    {"government_id",
     {"ssn", "sin", "social_security", "social_insurance", "passport", "national_id",
      "health_number", "licence_no", "license_no", "licence_number", "license_number", "tax_id",
      "driver_license", "drivers_license", "nas", "government_id", "id_card"}},
    {"gender", {"gender", "sex", "pronouns", "geschlecht", "sexe", "sexo"}},
    {"ip_address", {"ip", "ip_address", "remote_addr", "client_ip", "ipaddress", "remote_ip"}},
    {"device", {"user_agent", "device_id", "device_token", "fingerprint", "mac_address", "imei"}},
    {"location", {"latitude", "longitude", "lat", "lng", "geolocation", "geo_point"}},
    {"credential",
     {"password",
      "passwd",
      "pwd",
      "pw",
      "passwort",
      "mot_de_passe",
      "contrasena",
      "clave_hash",
      "kennwort",
      "wachtwoord",
      "senha",
      "password_hash",
      "encrypted_password",
      "password_digest",
      "otp_secret",
      "totp_secret",
      "api_key",
      "access_token",
      "refresh_token",
      "reset_token",
      "secret_hash",
      "recovery_code",
      "private_key",
      "session_token",
      "passwordhash",
      "mfa_secret",
      "pin_code"}},
    {"financial",
     {"iban", "card_number", "card_last4", "card_last_four", "account_number", "routing_number",
      "salary", "bank_account", "income"}},
    {"health",
     {"diagnosis", "medication", "allergies", "allergy", "blood_type", "disability", "medical"}},
    {"photo", {"avatar", "photo", "profile_picture", "picture_url", "portrait", "selfie"}},
    {"name", {"vorname",       "nachname",        "familienname",
              "prenom",        "apellido",        "apellidos",
              "cognome",       "voornaam",        "achternaam",
              "fname",         "lname",           "first_name",
              "last_name",     "full_name",       "given_name",
              "family_name",   "middle_name",     "surname",
              "maiden_name",   "firstname",       "lastname",
              "fullname",      "legal_name",      "contact_name",
              "customer_name", "recipient_name",  "student_name",
              "patient_name",  "sender_name",     "guardian_name",
              "nickname",      "cardholder_name", "holder_name",
              "holder",        "guest_name",      "buyer_name",
              "attendee_name", "parent_name",     "emergency_contact",
              "author_name",   "employee_name"}},
    {"address", {"addr",    "addr1",    "addr2",          "pcode",          "plz",
                 "strasse", "adresse",  "code_postal",    "direccion",      "indirizzo",
                 "address", "street",   "address_line",   "address1",       "address2",
                 "line1",   "line2",    "postal_code",    "postcode",       "zip",
                 "zipcode", "zip_code", "street_address", "mailing_address"}},
    {"online_id",
     {"anmeldename", "benutzername", "kennung", "username", "user_name", "login", "screen_name",
      "handle", "twitter", "linkedin", "github"}},
    {"free_text", {"bio", "biography", "about_me"}},
};

// Columns about how, when and whether, not about whom: email_verified_at, phone_code,
// password_policy.
bool about_the_thing(const std::vector<std::string>& words) {
  static const std::set<std::string_view> kLast = {
      "code",     "prefix",   "subject",      "template", "enabled", "verified", "count",
      "format",   "type",     "status",       "at",       "policy",  "required", "id",
      "provider", "domain",   "domains",      "pattern",  "limit",   "expires",  "label",
      "kind",     "settings", "options",      "sent",     "opt",     "attempts", "length",
      "on",       "version",  "notifications"};
  if (words.size() < 2) return false;
  if (words.back() == "id")
    return words[words.size() - 2] == "device" || words[words.size() - 2] == "national" ||
                   words[words.size() - 2] == "tax"
               ? false
               : true;
  if (words.back() == "code")
    return words[words.size() - 2] != "postal" && words[words.size() - 2] != "zip" &&
           words[words.size() - 2] != "recovery" && words[words.size() - 2] != "pin";
  if (words.back() == "on") return words.front() != "born";
  return kLast.contains(words.back());
}

bool type_fits(std::string_view label, std::string_view type) {
  if (type == "boolean") return false;
  const bool moment =
      type.starts_with("timestamp") || type.starts_with("time ") || type == "interval";
  if (moment) return label == "birth_date";
  if (type == "date") return label == "birth_date";
  const bool number = family_of(type) == TypeFamily::integer || type == "numeric" ||
                      type == "double precision" || type == "real";
  if (number)
    return label == "phone" || label == "location" || label == "government_id" ||
           label == "financial";
  return true;
}

std::string_view label_by_comment(const Column& column) {
  const auto words = words_of(column.comment);
  for (const std::string& word : words) {
    std::string bare;
    for (char c : word) {
      if (c >= 'a' && c <= 'z') bare.push_back(c);
    }
    if (bare == "pii" || bare == "personal" || bare == "gdpr") return "other";
  }
  return {};
}

}  // namespace

bool about_people(const TableShape& table) {
  static const std::set<std::string_view> kPeople = {
      "user",      "person",    "customer",   "contact",  "patient",   "student",
      "guardian",  "employee",  "lead",       "member",   "agent",     "applicant",
      "candidate", "teacher",   "instructor", "profile",  "parent",    "visitor",
      "staff",     "recipient", "guest",      "attendee", "donor",     "buyer",
      "author",    "requester", "identity",   "address",  "passenger", "client"};
  return kPeople.contains(head_noun(table.name.name));
}

std::string_view personal_label(const Column& column, bool about_people) {
  const auto words = words_of(column.name);
  if (column.type == "inet" || column.type == "cidr") return "ip_address";
  if (!about_the_thing(words)) {
    for (const auto& [label, phrases] : kRules) {
      if (!type_fits(label, column.type)) continue;
      if (label == "online_id" && column.name == "handle" && !about_people) continue;
      for (std::size_t from = 0; from < words.size(); ++from) {
        std::string phrase;
        for (std::size_t to = from; to < words.size() && to < from + 3; ++to) {
          phrase += (phrase.empty() ? "" : "_") + words[to];
          if (phrases.contains(phrase)) return label;
        }
      }
    }
  }
  const bool text = family_of(column.type) == TypeFamily::text;
  if (about_people && text &&
      (column.name == "name" || column.name == "display_name" || column.name == "displayName")) {
    return "name";
  }
  if (about_people && text && (column.name == "image" || column.name == "image_url"))
    return "photo";
  if (about_people && text && (column.name == "city" || column.name == "token")) {
    return column.name == "city" ? "address" : "credential";
  }
  return label_by_comment(column);
}

}  // namespace domicile::catalog
