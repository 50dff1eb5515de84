-- Signing keys may be replaced before their time: an operator moves the end of those in use forward
-- (`domicile key rotate`), and the nodes put successors in their place.
SET LOCAL ROLE domicile_owner;

GRANT UPDATE (retires_at, expires_at) ON domicile_directory.signing_key TO domicile_node;
