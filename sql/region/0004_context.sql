-- Who is asking. An organization's own role is its identity; the application's pool proves its context
-- with a token that enter() verifies once per transaction.
--
-- The context is bound to the transaction by its 64-bit transaction id: it dies with COMMIT, ROLLBACK,
-- COMMIT AND CHAIN and with "COMMIT; BEGIN" in one message, where now() stays the same. The setting
-- domicile.entered is only a hint, for a clear message (and, with text keys, the name whose hash the slots hold):
-- forging it leads to a mismatch, never to another organization.
SET LOCAL ROLE domicile_owner;

CREATE FUNCTION domicile_private.no_context(why text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  RAISE EXCEPTION 'domicile: %', why
    USING ERRCODE = '42501',
          HINT = 'Call domicile.enter(token) in the transaction, before its first statement on the organization''s tables.';
END
$$;

-- Is this the transaction that entered, and is its token still valid?
CREATE FUNCTION domicile_private.entered() RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS $$
BEGIN
  IF coalesce(pg_catalog.current_setting('domicile.entered', true), '') OPERATOR(pg_catalog.=) '' THEN
    PERFORM domicile_private.no_context('this transaction has no organization context');
  END IF;
  IF pg_catalog.pg_current_xact_id_if_assigned() IS NULL
     OR pg_catalog.currval('domicile_private.slot_transaction'::pg_catalog.regclass)
        OPERATOR(pg_catalog.<>) pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text::pg_catalog.int8 THEN
    PERFORM domicile_private.no_context('the organization context belongs to another transaction');
  END IF;
  IF pg_catalog.currval('domicile_private.slot_expiry'::pg_catalog.regclass)::pg_catalog.float8
     OPERATOR(pg_catalog.<=) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) THEN
    PERFORM domicile_private.no_context('the organization context has expired');
  END IF;
  RETURN true;
END
$$;

-- One body per key type: what a role's name and the slots mean.
DO $do$
DECLARE
  role_pattern text;   -- names whole roles: etl_7 and org_7x are nobody
  of_role text;        -- the key of session_user
  of_slots text;       -- the key in the slots
BEGIN
  IF '{{key_type}}' = 'bigint' THEN
    role_pattern := '^org_(0|-?[1-9][0-9]{0,18})$';
    of_role := 'pg_catalog.substr(session_user::pg_catalog.text, 5)::pg_catalog.int8';
    of_slots := 'pg_catalog.currval(''domicile_private.slot_low''::pg_catalog.regclass)';
  ELSIF '{{key_type}}' = 'uuid' THEN
    role_pattern := '^org_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
    of_role := 'pg_catalog.substr(session_user::pg_catalog.text, 5)::pg_catalog.uuid';
    of_slots := '(pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.currval(''domicile_private.slot_high''::pg_catalog.regclass)), 16, ''0'')'
                ' OPERATOR(pg_catalog.||) pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.currval(''domicile_private.slot_low''::pg_catalog.regclass)), 16, ''0''))'
                '::pg_catalog.uuid';
  ELSE
    role_pattern := '^org_t[0-9a-f]{32}$';
    of_role := '(SELECT o.key FROM domicile.organization o WHERE o.role OPERATOR(pg_catalog.=) session_user)';
    of_slots := 'CASE WHEN pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to('
                'pg_catalog.current_setting(''domicile.entered''), ''UTF8'')), ''hex''), 32) OPERATOR(pg_catalog.=) '
                '(pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.currval(''domicile_private.slot_high''::pg_catalog.regclass)), 16, ''0'')'
                ' OPERATOR(pg_catalog.||) pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.currval(''domicile_private.slot_low''::pg_catalog.regclass)), 16, ''0''))'
                ' THEN pg_catalog.current_setting(''domicile.entered'') END';
  END IF;
  EXECUTE format($sql$
    CREATE FUNCTION domicile.current_org() RETURNS {{key_type}} LANGUAGE plpgsql STABLE SECURITY DEFINER
    PARALLEL RESTRICTED AS $$
    DECLARE
      -- %%TYPE goes by OID: a bare "text" or "uuid" would be looked up in the caller's pg_temp first.
      key domicile.organization.key%%TYPE;
    BEGIN
      IF session_user OPERATOR(pg_catalog.~) %1$L THEN
        IF {{served}} THEN
          key := %2$s;
          IF key IS NOT NULL THEN RETURN key; END IF;
        END IF;
        RAISE EXCEPTION 'domicile: this organization is not served in this region' USING ERRCODE = '42501';
      END IF;
      IF domicile_private.entered() THEN
        key := %3$s;
        IF key IS NOT NULL THEN RETURN key; END IF;
      END IF;
      PERFORM domicile_private.no_context('the organization context was tampered with');
      RETURN NULL;
    END
    $$ $sql$, role_pattern, of_role, of_slots);
END
$do$;

-- The token: dc1~<kid>~<organization>~<epoch>~<database>~<expiry>~<nonce>~<hmac-sha256, lower hex>.
-- Nothing in it is believed before its MAC. The MACs are compared by their hashes, so that the time taken
-- tells nothing about the right one.
CREATE FUNCTION domicile.enter(token text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  part text[] := string_to_array(token, '~');
  signed bytea;
  genuine boolean;
  expiry bigint;
  now_s double precision := date_part('epoch', clock_timestamp());
  organization {{key_type}};
  high bigint := 0;
  low bigint;
  again boolean := false;
  hash text;
BEGIN
  IF current_setting('transaction_read_only') = 'on' THEN
    RAISE EXCEPTION 'domicile: enter() cannot run in a read-only transaction' USING ERRCODE = '25006',
      HINT = 'Call it first, then SET TRANSACTION READ ONLY; on a standby use the organization''s own role.';
  END IF;
  IF cardinality(part) IS DISTINCT FROM 8 OR length(token) > 512 OR part[1] <> 'dc1' THEN
    PERFORM domicile_private.no_context('the context token is not one of this region');
  END IF;
  signed := convert_to(left(token, -(length(part[8]) + 1)), 'UTF8');
  SELECT sha256(convert_to(part[8], 'UTF8'))
         = sha256(convert_to(encode(sha256(k.opad || sha256(k.ipad || signed)), 'hex'), 'UTF8')) INTO genuine
  FROM domicile_private.context_key k
  WHERE k.kid = part[2] AND (k.retired_at IS NULL OR k.retired_at > clock_timestamp());
  IF genuine IS NOT TRUE THEN
    PERFORM domicile_private.no_context('the context token is forged, or its key is retired');
  END IF;
  expiry := part[6]::bigint;
  -- Five seconds for clocks that differ: a token lives a minute at most.
  IF expiry <= now_s OR expiry > now_s + 65 THEN
    PERFORM domicile_private.no_context('the context token has expired, or lives too long');
  END IF;
  SELECT o.key INTO organization FROM domicile.organization o, domicile.region r
  WHERE o.key = part[3]::{{key_type}} AND o.state = 'active' AND o.epoch = part[4]::bigint AND r.database_id = part[5];
  IF NOT FOUND OR NOT domicile.region_open() THEN
    PERFORM domicile_private.no_context('the context token is for another database, or for an organization, '
                                        'or an epoch of it, that is not served here');
  END IF;
  IF '{{key_type}}' = 'bigint' THEN
    low := part[3]::bigint;
  ELSE
    hash := CASE '{{key_type}}' WHEN 'uuid' THEN replace(part[3], '-', '')
                                ELSE left(encode(sha256(convert_to(part[3], 'UTF8')), 'hex'), 32) END;
    high := ('x' || left(hash, 16))::bit(64)::bigint;
    low := ('x' || right(hash, 16))::bit(64)::bigint;
  END IF;
  -- One transaction, one organization: rows read under the first context must not be written under a second.
  IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
    BEGIN
      again := currval('domicile_private.slot_transaction') = pg_current_xact_id()::text::bigint
               AND (currval('domicile_private.slot_low') <> low OR currval('domicile_private.slot_high') <> high);
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
      again := false;  -- nobody entered in this session yet
    END;
    IF again THEN
      PERFORM domicile_private.no_context('this transaction already entered another organization');
    END IF;
  END IF;

  PERFORM setval('domicile_private.slot_high', high), setval('domicile_private.slot_low', low);
  PERFORM setval('domicile_private.slot_expiry', expiry),
          setval('domicile_private.slot_transaction', pg_current_xact_id()::text::bigint),
          set_config('domicile.entered', organization::text, true);
END
$$;

-- A new signing key. The former keys stay valid until the longest token signed with them has expired.
CREATE FUNCTION domicile.rotate_context_key() RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  fresh bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
  new_kid text;
  inner_pad bytea := '';
  outer_pad bytea := '';
  octet int;
BEGIN
  LOCK TABLE domicile_private.context_key IN SHARE ROW EXCLUSIVE MODE;
  DELETE FROM domicile_private.context_key WHERE retired_at < clock_timestamp() - interval '1 day';
  UPDATE domicile_private.context_key SET retired_at = clock_timestamp() + interval '2 minutes' WHERE retired_at IS NULL;
  SELECT 'k' || coalesce(max(substr(kid, 2)::int), 0) + 1 INTO new_kid FROM domicile_private.context_key;
  FOR i IN 0..63 LOOP
    octet := CASE WHEN i < 32 THEN get_byte(fresh, i) ELSE 0 END;
    inner_pad := inner_pad || set_byte('\x00'::bytea, 0, octet # 54);
    outer_pad := outer_pad || set_byte('\x00'::bytea, 0, octet # 92);
  END LOOP;
  INSERT INTO domicile_private.context_key (kid, ipad, opad, key) VALUES (new_kid, inner_pad, outer_pad, fresh);
  RETURN new_kid;
END
$$;

-- At once: after a leak of the key. Every context signed with it is refused from now on.
CREATE FUNCTION domicile.retire_context_key(which text) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE domicile_private.context_key SET retired_at = clock_timestamp() WHERE kid = which;
  RETURN FOUND;
END
$$;

-- For the node that signs contexts: the newest key.
CREATE FUNCTION domicile.context_signing_key() RETURNS TABLE (kid text, key bytea, database_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.kid, k.key, r.database_id FROM domicile_private.context_key k, domicile.region r
  WHERE k.retired_at IS NULL ORDER BY k.created_at DESC LIMIT 1
$$;

REVOKE EXECUTE ON FUNCTION domicile.enter(text), domicile.rotate_context_key(), domicile.retire_context_key(text),
  domicile.context_signing_key() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION domicile.enter(text) TO domicile_app;
GRANT EXECUTE ON FUNCTION domicile.rotate_context_key(), domicile.retire_context_key(text),
  domicile.context_signing_key() TO domicile_node;
SELECT domicile.rotate_context_key();
