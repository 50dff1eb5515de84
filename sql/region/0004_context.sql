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
  IF pg_catalog.txid_current_if_assigned() IS NULL
     OR pg_catalog.currval('domicile_private.slot_transaction'::pg_catalog.regclass)
        OPERATOR(pg_catalog.<>) pg_catalog.txid_current_if_assigned() THEN
    PERFORM domicile_private.no_context('the organization context belongs to another transaction');
  END IF;
  IF pg_catalog.currval('domicile_private.slot_expiry'::pg_catalog.regclass)::pg_catalog.float8
     OPERATOR(pg_catalog.<=) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) THEN
    PERFORM domicile_private.no_context('the organization context has expired');
  END IF;
  RETURN true;
END
$$;

-- Everything but the usual case of current_org(): an organization's own role, and every refusal.
CREATE FUNCTION domicile_private.org_otherwise() RETURNS {{key_type}} LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS $$
DECLARE
  -- %TYPE goes by OID: a bare "text" or "uuid" would be looked up in the caller's pg_temp first.
  key domicile.organization.key%TYPE;
BEGIN
  IF session_user OPERATOR(pg_catalog.~) '{{role_pattern}}' THEN  -- whole names: etl_7 and org_7x are nobody
    IF {{served}} THEN
      key := {{key_of_role}};
      IF key IS NOT NULL THEN RETURN key; END IF;
    END IF;
    RAISE EXCEPTION 'domicile: this organization is not served in this region' USING ERRCODE = '42501';
  END IF;
  IF domicile_private.entered() THEN
    key := {{key_in_slots}};
    IF key IS NOT NULL THEN RETURN key; END IF;
  END IF;
  PERFORM domicile_private.no_context('the organization context was tampered with');
  RETURN NULL;
END
$$;

-- Every statement asks once for each table that it names, and PL/pgSQL prepares an expression anew in each transaction,
-- by its calls: so few of them stand in each way, and those of the other ways wait. The setting only chooses the way.
CREATE FUNCTION domicile.current_org() RETURNS {{key_type}} LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED AS $$
BEGIN
  IF pg_catalog.current_setting('domicile.entered', true) OPERATOR(pg_catalog.<>) '' THEN
    IF pg_catalog.txid_current_if_assigned() IS NOT NULL
       AND pg_catalog.currval('domicile_private.slot_transaction'::pg_catalog.regclass)
           OPERATOR(pg_catalog.=) pg_catalog.txid_current_if_assigned()
       AND pg_catalog.currval('domicile_private.slot_expiry'::pg_catalog.regclass)::pg_catalog.float8
           OPERATOR(pg_catalog.>) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) THEN
      RETURN coalesce({{key_in_slots}}, domicile_private.org_otherwise());
    END IF;
  ELSIF {{served}} AND session_user OPERATOR(pg_catalog.~) '{{role_pattern}}' THEN
    RETURN coalesce({{key_of_role}}, domicile_private.org_otherwise());
  END IF;
  RETURN domicile_private.org_otherwise();
END
$$;

-- What enter() does not take at once: says what is wrong, step by step, or lets pass what is not (a transaction that
-- has written already, or enters the same organization again).
CREATE FUNCTION domicile_private.hesitate(token text, part text[], genuine boolean, organization {{key_type}}) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  expiry bigint;
  now_s double precision := date_part('epoch', clock_timestamp());
  again boolean := false;
BEGIN
  IF current_setting('transaction_read_only') = 'on' THEN
    RAISE EXCEPTION 'domicile: enter() cannot run in a read-only transaction' USING ERRCODE = '25006',
      HINT = 'Call it first, then SET TRANSACTION READ ONLY; on a standby use the organization''s own role.';
  END IF;
  IF cardinality(part) IS DISTINCT FROM 8 OR length(token) > 512 OR part[1] <> 'dc1' THEN
    PERFORM domicile_private.no_context('the context token is not one of this region');
  END IF;
  IF genuine IS NOT TRUE THEN
    PERFORM domicile_private.no_context('the context token is forged, or its key is retired');
  END IF;
  expiry := part[6]::bigint;
  -- Five seconds for clocks that differ: a token lives a minute at most.
  IF expiry <= now_s OR expiry > now_s + 65 THEN
    PERFORM domicile_private.no_context('the context token has expired, or lives too long');
  END IF;
  IF organization IS NULL OR NOT domicile.region_open() THEN
    PERFORM domicile_private.no_context('the context token is for another database, or for an organization, '
                                        'or an epoch of it, that is not served here');
  END IF;
  -- One transaction, one organization: rows read under the first context must not be written under a second.
  IF txid_current_if_assigned() IS NOT NULL THEN
    BEGIN
      again := currval('domicile_private.slot_transaction') = txid_current() AND {{key_in_slots}} IS DISTINCT FROM organization;
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
      again := false;  -- nobody entered in this session yet
    END;
    IF again THEN
      PERFORM domicile_private.no_context('this transaction already entered another organization');
    END IF;
  END IF;
END
$$;

-- The token: dc1~<kid>~<organization>~<epoch>~<database>~<expiry>~<nonce>~<hmac-sha256, lower hex>.
-- Nothing in it is believed before its MAC. The MACs are compared by 64-bit hashes of them, so that the time taken
-- tells nothing about the right one; who does not know it meets its hash once in 2^64 tries.
--
-- Every transaction of the application begins here. So this holds what the usual token needs in few calls, and no
-- SET search_path, which would cost as much as the MAC: every name and operator is qualified.
CREATE FUNCTION domicile.enter(token text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
  part pg_catalog.text[] := pg_catalog.string_to_array(token, '~');
  genuine boolean;
  organization domicile.organization.key%TYPE;
  left_s pg_catalog.float8;
BEGIN
  SELECT pg_catalog.hashtextextended(pg_catalog.encode(pg_catalog.sha256(k.opad OPERATOR(pg_catalog.||)
           pg_catalog.sha256(k.ipad OPERATOR(pg_catalog.||) pg_catalog.convert_to(pg_catalog.left(token, -65), 'UTF8'))), 'hex'), 0)
         OPERATOR(pg_catalog.=) pg_catalog.hashtextextended(part[8], 0) INTO genuine
  FROM domicile_private.context_key k
  WHERE k.kid OPERATOR(pg_catalog.=) part[2]
    AND (k.retired_at IS NULL OR k.retired_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp());
  IF genuine THEN
    SELECT o.key, part[6]::pg_catalog.float8 OPERATOR(pg_catalog.-) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())
    INTO organization, left_s FROM domicile.organization o, domicile.region r
    WHERE o.key OPERATOR(pg_catalog.=) part[3]::{{key_cast}} AND o.state OPERATOR(pg_catalog.=) 'active'
      AND o.epoch OPERATOR(pg_catalog.=) part[4]::pg_catalog.int8 AND r.database_id OPERATOR(pg_catalog.=) part[5];
  END IF;
  -- In this order: region_open() has no answer on a standby.
  IF organization IS NULL OR left_s OPERATOR(pg_catalog.<=) 0 OR left_s OPERATOR(pg_catalog.>) 65
     OR pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.<>) 'off'
     OR pg_catalog.txid_current_if_assigned() IS NOT NULL OR NOT domicile.region_open() THEN
    PERFORM domicile_private.hesitate(token, part, genuine, organization);
  END IF;
  PERFORM {{keep_key}},
          pg_catalog.setval('domicile_private.slot_expiry'::pg_catalog.regclass, part[6]::pg_catalog.int8),
          pg_catalog.setval('domicile_private.slot_transaction'::pg_catalog.regclass, pg_catalog.txid_current()),
          pg_catalog.set_config('domicile.entered', organization::pg_catalog.text, true);
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
