-- A clinic's records: composite keys led by a text tenant, no table of tenants in this database.
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
CREATE TABLE practitioner (tenant_id text NOT NULL, id int NOT NULL, full_name text NOT NULL, license_no text, PRIMARY KEY (tenant_id, id));
CREATE TABLE patient (tenant_id text NOT NULL, id int NOT NULL, given_name text NOT NULL, family_name text NOT NULL, birth_date date, health_number text, PRIMARY KEY (tenant_id, id));
CREATE TABLE room (tenant_id text NOT NULL, id int NOT NULL, label text, PRIMARY KEY (tenant_id, id));
CREATE TABLE appointment (tenant_id text NOT NULL, id int NOT NULL, patient_id int NOT NULL, practitioner_id int NOT NULL, room_id int, starts_at timestamptz NOT NULL, PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, patient_id) REFERENCES patient, FOREIGN KEY (tenant_id, practitioner_id) REFERENCES practitioner, FOREIGN KEY (tenant_id, room_id) REFERENCES room);
CREATE TABLE encounter (tenant_id text NOT NULL, id int NOT NULL, appointment_id int NOT NULL, notes text, PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, appointment_id) REFERENCES appointment);
CREATE TABLE icd_codes (code text PRIMARY KEY, title text NOT NULL, chapter text NOT NULL);
CREATE TABLE drug (din text PRIMARY KEY, name text NOT NULL, strength text);
CREATE TABLE drug_form (code text PRIMARY KEY, label text NOT NULL);
CREATE TABLE diagnosis (tenant_id text NOT NULL, id int NOT NULL, encounter_id int NOT NULL, icd_code text NOT NULL REFERENCES icd_codes, PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, encounter_id) REFERENCES encounter);
CREATE TABLE prescription (tenant_id text NOT NULL, id int NOT NULL, encounter_id int NOT NULL, din text NOT NULL REFERENCES drug, form_code text REFERENCES drug_form, PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, encounter_id) REFERENCES encounter);
CREATE TABLE dispense (clinic_id text NOT NULL, prescription_id int NOT NULL, seq int NOT NULL, at timestamptz, PRIMARY KEY (clinic_id, prescription_id, seq), FOREIGN KEY (clinic_id, prescription_id) REFERENCES prescription (tenant_id, id));
CREATE TABLE consent_form (tenant_id text, code text NOT NULL, body text NOT NULL);
CREATE TABLE lab_result (id bigserial PRIMARY KEY, tenant_id text NOT NULL, patient_id int NOT NULL, payload jsonb NOT NULL);
CREATE TABLE invoice_base (tenant_id text NOT NULL, id bigserial PRIMARY KEY, total numeric NOT NULL);
CREATE TABLE invoice_insurance (insurer text NOT NULL) INHERITS (invoice_base);
CREATE TABLE public_holidays (day date NOT NULL, province text NOT NULL, name text NOT NULL, PRIMARY KEY (day, province));
