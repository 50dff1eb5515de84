-- Signing out calls the sign-in's access tokens back. Their claim `sid` names the browser's session and the refresh
-- family, joined by a dot; a revocation of kind `session` is one of both: all of the session, or one application's.
-- One of kind `grant` calls back the tokens that carry the grant.
SET LOCAL ROLE domicile_owner;

ALTER TABLE domicile_directory.revocation DROP CONSTRAINT revocation_kind_check;
ALTER TABLE domicile_directory.revocation ADD CONSTRAINT revocation_kind_check
  CHECK (kind IN ('token', 'session', 'grant', 'user', 'organization'));
