CREATE OR REPLACE VIEW app.enrolled WITH (security_invoker = true) AS SELECT org_id, person FROM app.enrolment;
