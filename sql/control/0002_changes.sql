-- The only ways to change the registry. Each is one short transaction: lock the counter, see whether this
-- operation was done already, check, write, take the next revision. All definer functions pin search_path.

-- The first thing every change does. Whoever comes second waits here until the first has committed, and
-- then sees what it did (READ COMMITTED).
CREATE FUNCTION domicile_registry.lock() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM domicile_registry.registry FOR UPDATE;
END
$$;

-- The revision of an operation that was done before, or NULL. The same id for another request is refused.
CREATE FUNCTION domicile_registry.done_before(operation text, asked text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  former domicile_registry.change;
BEGIN
  IF operation IS NULL THEN RETURN NULL; END IF;
  SELECT * INTO former FROM domicile_registry.change c WHERE c.operation_id = operation;
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF former.request IS DISTINCT FROM asked THEN
    RAISE EXCEPTION 'operation id % was used for another request (%)', operation, former.kind
      USING ERRCODE = 'DR005', HINT = 'Use a new operation id.';
  END IF;
  RETURN former.revision;
END
$$;

CREATE FUNCTION domicile_registry.advance(kind text, subject text, state text, operation text, request text, epoch bigint)
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now_at domicile_registry.registry;
BEGIN
  UPDATE domicile_registry.registry r
  SET revision = r.revision + 1,
      chain = sha256(r.chain || convert_to(concat_ws(E'\n', r.revision + 1, advance.kind, advance.subject, advance.state), 'UTF8'))
  RETURNING * INTO now_at;
  INSERT INTO domicile_registry.change (revision, kind, subject, state, chain, operation_id, request, epoch)
  VALUES (now_at.revision, kind, subject, state, now_at.chain, operation, request, epoch);
  RETURN now_at.revision;
END
$$;

-- What an organization is, in the text that goes into the chain.
CREATE FUNCTION domicile_registry.state_of(organization text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT concat_ws(' ', o.slug, o.region, o.epoch, o.state,
                   (SELECT string_agg(encode(d.domain, 'hex'), ' ' ORDER BY d.domain)
                    FROM domicile_registry.organization_domain d WHERE d.organization = o.key))
  FROM domicile_registry.organization o WHERE o.key = state_of.organization
$$;

CREATE FUNCTION domicile_registry.claim_domains(claimed_by text, domains bytea[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  holder text;
BEGIN
  SELECT d.organization INTO holder FROM domicile_registry.organization_domain d
  WHERE d.domain = ANY (domains) AND d.organization <> claimed_by LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'a domain is already verified for organization %', holder
      USING ERRCODE = 'DR004', HINT = 'Remove it there first: domicile org domains.';
  END IF;
  INSERT INTO domicile_registry.organization_domain (domain, organization)
  SELECT DISTINCT d, claimed_by FROM unnest(domains) AS d ON CONFLICT DO NOTHING;
END
$$;

CREATE FUNCTION domicile_registry.create_organization(operation text, key text, slug text, region text, domains bytea[],
                                                      OUT revision bigint, OUT epoch bigint, OUT replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  asked text := concat_ws(' ', 'create', $2, $3, $4, (SELECT string_agg(encode(d, 'hex'), ' ' ORDER BY d) FROM unnest($5) AS d));
  taken domicile_registry.organization;
BEGIN
  PERFORM domicile_registry.lock();
  revision := domicile_registry.done_before(operation, asked);
  replayed := revision IS NOT NULL;
  epoch := 1;
  IF replayed THEN RETURN; END IF;
  IF NOT EXISTS (SELECT FROM domicile_registry.region r WHERE r.id = $4) THEN
    RAISE EXCEPTION 'there is no region %', $4 USING ERRCODE = 'DR007', HINT = 'See: domicile region list.';
  END IF;
  SELECT * INTO taken FROM domicile_registry.organization o WHERE o.key = $2;
  IF FOUND THEN
    RAISE EXCEPTION 'organization % exists already (home %, %)', $2, taken.region, taken.state
      USING ERRCODE = 'DR002', HINT = 'Keys are never given out again, also after an organization was closed.';
  END IF;
  SELECT * INTO taken FROM domicile_registry.organization o WHERE o.slug = $3;
  IF FOUND THEN
    RAISE EXCEPTION 'slug % belongs to organization %', $3, taken.key
      USING ERRCODE = 'DR003', HINT = 'Slugs are never given out again, also after an organization was closed.';
  END IF;
  INSERT INTO domicile_registry.organization (key, slug, region, epoch, state, revision)
  SELECT $2, $3, $4, 1, 'active', r.revision + 1 FROM domicile_registry.registry r;
  PERFORM domicile_registry.claim_domains($2, $5);
  revision := domicile_registry.advance('organization.create', $2, domicile_registry.state_of($2), operation, asked, 1);
END
$$;

-- Suspend, resume, move or close: the next placement, one epoch up. `expected` is the epoch that the
-- caller has seen: another one means that somebody was faster.
CREATE FUNCTION domicile_registry.place_organization(operation text, key text, expected bigint, region text, state text,
                                                     OUT revision bigint, OUT epoch bigint, OUT replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  asked text := concat_ws(' ', 'place', $2, $3, coalesce($4, '-'), $5);
  had domicile_registry.organization;
BEGIN
  PERFORM domicile_registry.lock();
  revision := domicile_registry.done_before(operation, asked);
  replayed := revision IS NOT NULL;
  IF replayed THEN
    SELECT c.epoch INTO epoch FROM domicile_registry.change c WHERE c.operation_id = operation;
    RETURN;
  END IF;
  SELECT * INTO had FROM domicile_registry.organization o WHERE o.key = $2;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no organization %', $2 USING ERRCODE = 'DR006', HINT = 'See: domicile org list.';
  END IF;
  IF had.epoch <> $3 THEN
    RAISE EXCEPTION 'organization % is at epoch %, not %', $2, had.epoch, $3
      USING ERRCODE = 'DR001', HINT = 'Somebody changed it in the meantime: look again (domicile org show), then decide.';
  END IF;
  IF NOT ((had.state, $5) IN (('active', 'suspended'), ('suspended', 'active'), ('active', 'moving'), ('moving', 'active'),
                              ('active', 'closed'), ('suspended', 'closed'))
          AND ($4 IS NULL OR $4 = had.region OR (had.state = 'moving' AND $5 = 'active'))) THEN
    RAISE EXCEPTION 'organization % is %, so it cannot become %', $2, had.state, $5 || coalesce(' in ' || nullif($4, had.region), '')
      USING ERRCODE = 'DR008', HINT = CASE had.state WHEN 'closed' THEN 'Closed is final.' ELSE 'See: domicile org show.' END;
  END IF;
  IF $4 IS NOT NULL AND NOT EXISTS (SELECT FROM domicile_registry.region r WHERE r.id = $4) THEN
    RAISE EXCEPTION 'there is no region %', $4 USING ERRCODE = 'DR007', HINT = 'See: domicile region list.';
  END IF;
  epoch := had.epoch + 1;
  UPDATE domicile_registry.organization o
  SET epoch = had.epoch + 1, state = $5, region = coalesce($4, o.region), changed_at = clock_timestamp(),
      revision = (SELECT r.revision + 1 FROM domicile_registry.registry r)
  WHERE o.key = $2;
  IF $5 = 'closed' THEN  -- the tombstone keeps key and slug; a domain may be verified by somebody else
    DELETE FROM domicile_registry.organization_domain d WHERE d.organization = $2;
  END IF;
  revision := domicile_registry.advance('organization.' || $5, $2, domicile_registry.state_of($2), operation, asked, epoch);
END
$$;

-- Adds and removes verified domains. The placement stays as it is, and so does its epoch.
CREATE FUNCTION domicile_registry.change_domains(operation text, key text, adds bytea[], removes bytea[],
                                                 OUT revision bigint, OUT epoch bigint, OUT replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  asked text := concat_ws(' ', 'domains', $2, '+', (SELECT string_agg(encode(d, 'hex'), ' ' ORDER BY d) FROM unnest($3) AS d),
                          '-', (SELECT string_agg(encode(d, 'hex'), ' ' ORDER BY d) FROM unnest($4) AS d));
  had domicile_registry.organization;
BEGIN
  PERFORM domicile_registry.lock();
  revision := domicile_registry.done_before(operation, asked);
  replayed := revision IS NOT NULL;
  SELECT * INTO had FROM domicile_registry.organization o WHERE o.key = $2;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no organization %', $2 USING ERRCODE = 'DR006', HINT = 'See: domicile org list.';
  END IF;
  epoch := had.epoch;
  IF replayed THEN RETURN; END IF;
  IF had.state = 'closed' THEN
    RAISE EXCEPTION 'organization % is closed', $2 USING ERRCODE = 'DR008', HINT = 'Closed is final.';
  END IF;
  DELETE FROM domicile_registry.organization_domain d WHERE d.organization = $2 AND d.domain = ANY ($4);
  PERFORM domicile_registry.claim_domains($2, $3);
  UPDATE domicile_registry.organization o
  SET changed_at = clock_timestamp(), revision = (SELECT r.revision + 1 FROM domicile_registry.registry r) WHERE o.key = $2;
  revision := domicile_registry.advance('organization.domains', $2, domicile_registry.state_of($2), operation, asked, had.epoch);
END
$$;

-- Makes a jurisdiction and its locations known. A location never changes its jurisdiction. NULL: nothing
-- was to do.
CREATE FUNCTION domicile_registry.put_jurisdiction(id text, locations text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  misplaced domicile_registry.location;
  changed integer;
  added integer;
BEGIN
  PERFORM domicile_registry.lock();
  SELECT * INTO misplaced FROM domicile_registry.location l WHERE l.id = ANY ($2) AND l.jurisdiction <> $1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'location % lies in jurisdiction %, not in %', misplaced.id, misplaced.jurisdiction, $1 USING ERRCODE = 'DR007';
  END IF;
  INSERT INTO domicile_registry.jurisdiction (id) VALUES ($1) ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS changed = ROW_COUNT;
  INSERT INTO domicile_registry.location (id, jurisdiction) SELECT l, $1 FROM unnest($2) AS l ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS added = ROW_COUNT;
  IF changed + added = 0 THEN RETURN NULL; END IF;
  RETURN domicile_registry.advance('jurisdiction.put', $1, array_to_string($2, ' '), NULL, NULL, NULL);
END
$$;

CREATE FUNCTION domicile_registry.put_region(id text, jurisdiction text, locations text[], url text, master boolean) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  had domicile_registry.region;
  misplaced text;
BEGIN
  PERFORM domicile_registry.lock();
  SELECT l INTO misplaced FROM unnest($3) AS l
  WHERE NOT EXISTS (SELECT FROM domicile_registry.location k WHERE k.id = l AND k.jurisdiction = $2) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'location % is not known in jurisdiction %', misplaced, $2 USING ERRCODE = 'DR007';
  END IF;
  SELECT * INTO had FROM domicile_registry.region r WHERE r.id = $1;
  IF FOUND AND had.jurisdiction <> $2 THEN
    RAISE EXCEPTION 'region % is of jurisdiction %: organizations live there under its law', $1, had.jurisdiction USING ERRCODE = 'DR007';
  END IF;
  IF FOUND AND had.master AND NOT $5 OR $5 AND EXISTS (SELECT FROM domicile_registry.region r WHERE r.master AND r.id <> $1) THEN
    RAISE EXCEPTION 'another region is the master region already; it does not change' USING ERRCODE = 'DR007';
  END IF;
  IF had.id IS NOT NULL AND (had.locations, had.url) = ($3, $4) THEN RETURN NULL; END IF;
  INSERT INTO domicile_registry.region (id, jurisdiction, locations, url, master, revision)
  SELECT $1, $2, $3, $4, $5, r.revision + 1 FROM domicile_registry.registry r
  ON CONFLICT (id) DO UPDATE SET locations = excluded.locations, url = excluded.url, revision = excluded.revision;
  RETURN domicile_registry.advance('region.put', $1, concat_ws(' ', $2, $4, $5, array_to_string($3, ' ')), NULL, NULL, NULL);
END
$$;

-- Remembers which pepper the domains are hashed with, and refuses another.
CREATE FUNCTION domicile_registry.adopt_pepper(fingerprint bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM domicile_registry.lock();
  UPDATE domicile_registry.registry SET pepper_check = fingerprint WHERE pepper_check IS NULL;
  IF (SELECT pepper_check FROM domicile_registry.registry) <> fingerprint THEN
    RAISE EXCEPTION 'this is not the pepper that the registry''s domains are hashed with'
      USING ERRCODE = 'DR009', HINT = 'Every node and every command line uses the same pepper file.';
  END IF;
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA domicile_registry FROM PUBLIC;
GRANT EXECUTE ON FUNCTION domicile_registry.create_organization(text, text, text, text, bytea[]),
  domicile_registry.place_organization(text, text, bigint, text, text),
  domicile_registry.change_domains(text, text, bytea[], bytea[]),
  domicile_registry.put_jurisdiction(text, text[]),
  domicile_registry.put_region(text, text, text[], text, boolean),
  domicile_registry.adopt_pepper(bytea) TO domicile_registry_writer;
