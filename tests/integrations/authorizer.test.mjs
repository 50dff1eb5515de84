// The Lambda authorizer against a real node, with events as AWS documents them. Run by
// tests/system/test_integration_service.py, which gives everything in DOMICILE_TEST (JSON).
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import http from 'node:http';
import { test } from 'node:test';

import { createHandler, fromEnvironment, requestOf } from './authorizer/index.mjs';

const given = JSON.parse(process.env.DOMICILE_TEST);
const options = { url: given.url, ca: readFileSync(given.ca, 'utf8'), proxyToken: given.proxy_token, log: () => {} };
const handler = createHandler(options);
const bearer = `Bearer ${given.token}`;
const ARN = 'arn:aws:execute-api:ca-central-1:123456789012:abcdef123/test';

const tokenEvent = (method, path, authorizationToken = bearer) => (
  { type: 'TOKEN', authorizationToken, methodArn: `${ARN}/${method}${path}` });
const requestEvent = (method, path, headers = { Authorization: bearer, Accept: '*/*', Host: 'abcdef123.execute-api.ca-central-1.amazonaws.com' }) => ({
  type: 'REQUEST', methodArn: `${ARN}/${method}${path}`, resource: '/{proxy+}', path, httpMethod: method, headers,
  multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([k, v]) => [k, [v]])),
  queryStringParameters: { QueryString1: 'queryValue1' }, multiValueQueryStringParameters: {}, pathParameters: { proxy: path.slice(1) },
  stageVariables: {}, requestContext: { path: `/test${path}`, accountId: '123456789012', resourceId: '05c7jb', stage: 'test',
    requestId: '...', identity: { apiKey: '...', sourceIp: '192.0.2.7', clientCert: null }, resourcePath: '/{proxy+}', httpMethod: method, apiId: 'abcdef123' } });
const httpEventOne = (method, path, headers = { Authorization: bearer }) => ({
  version: '1.0', type: 'REQUEST', methodArn: `${ARN}/${method}${path}`, identitySource: 'user1,123', authorizationToken: 'user1,123',
  resource: '/{proxy+}', path, httpMethod: method, headers, queryStringParameters: {}, pathParameters: {}, stageVariables: {},
  requestContext: { path, accountId: '123456789012', resourceId: '05c7jb', stage: '$default', requestId: '...', identity: { sourceIp: '192.0.2.7' } } });
const httpEventTwo = (method, path, headers = { authorization: bearer }, stage = '$default') => ({
  version: '2.0', type: 'REQUEST', routeArn: `${ARN}/${method}${path}`, identitySource: ['user1', '123'], routeKey: '$default',
  rawPath: (stage === '$default' ? '' : `/${stage}`) + path, rawQueryString: '', cookies: ['cookie1'], headers, queryStringParameters: {},
  requestContext: { accountId: '123456789012', apiId: 'api-id', domainName: 'id.execute-api.ca-central-1.amazonaws.com', domainPrefix: 'id',
    http: { method, path, protocol: 'HTTP/1.1', sourceIp: '192.0.2.7', userAgent: 'agent' }, requestId: 'id', routeKey: '$default', stage,
    time: '12/Mar/2020:19:03:58 +0000', timeEpoch: 1583348638390 }, pathParameters: {}, stageVariables: {} });
const events = { TOKEN: tokenEvent, REQUEST: requestEvent, 'HTTP 1.0': httpEventOne, 'HTTP 2.0': httpEventTwo };
const mine = `/api/orgs/${given.own}/courses`;
const effect = (answer) => answer.isAuthorized ?? (answer.policyDocument.Statement[0].Effect === 'Allow');

for (const [name, event] of Object.entries(events)) {
  test(`${name}: yes with the identity, for exactly what was asked`, async () => {
    const answer = await handler(event('GET', mine));
    assert.equal(effect(answer), true);
    assert.equal(answer.context.organization, given.own);
    assert.match(answer.context.context, new RegExp(`^dc1~[^~]+~${given.own}~`));
    assert.ok(answer.context.subject && answer.context.permissions.includes('courses:read') && answer.context.requestId);
    for (const value of Object.values(answer.context)) assert.equal(typeof value, 'string');
    if (answer.policyDocument) {
      assert.deepEqual(answer.policyDocument, { Version: '2012-10-17', Statement: [
        { Action: 'execute-api:Invoke', Effect: 'Allow', Resource: `${ARN}/GET${mine}` }] });
    }
  });
  test(`${name}: no, with the node's reason`, async () => {
    for (const [method, path, reason] of [['GET', `/api/orgs/${given.other}/courses`, 'organization_mismatch'],
      ['POST', mine, 'missing_permission'], ['GET', '/nowhere', 'no_route'], ['PUT', mine, 'method_not_allowed'],
      ['GET', `/api/orgs/${given.other}/../${given.own}/courses`, 'path_dot_segment'], ['GET', `${mine}%2f1`, 'path_encoded_slash']]) {
      const answer = await handler(event(method, path));
      assert.equal(effect(answer), false, path);
      assert.equal(answer.context.reason, reason);
      if (answer.policyDocument) assert.equal(answer.policyDocument.Statement[0].Resource, '*');
    }
  });
  test(`${name}: a wildcard in the resource is refused`, async () => {
    for (const path of [`${mine}/*`, `${mine}/1?`, `${mine}/\${x}`]) assert.equal(effect(await handler(event('GET', path))), false);
  });
}

test('no token and a bad one: 401 where API Gateway has a word for it', async () => {
  for (const event of [tokenEvent('GET', mine, 'Bearer x'), requestEvent('GET', mine, { Accept: '*/*' }), httpEventOne('GET', mine, {})]) {
    await assert.rejects(handler(event), { message: 'Unauthorized' });
  }
  const simple = await handler(httpEventTwo('GET', mine, {}));
  assert.deepEqual([simple.isAuthorized, simple.context.reason], [false, 'unauthenticated']);
});

test('payload 2.0 with IAM policies, and with a stage in the path', async () => {
  const iam = createHandler({ ...options, simpleResponses: false });
  assert.equal((await iam(httpEventTwo('GET', mine))).policyDocument.Statement[0].Resource, `${ARN}/GET${mine}`);
  assert.equal((await handler(httpEventTwo('GET', mine, undefined, 'prod'))).isAuthorized, true);
  const foreign = httpEventTwo('GET', mine, undefined, 'prod');
  foreign.rawPath = mine;
  assert.equal((await handler(foreign)).context.reason, 'bad_event');
});

test('what could be read in two ways, or not at all, is refused', async () => {
  const twice = requestEvent('GET', mine);
  twice.multiValueHeaders.Authorization = [bearer, 'Bearer other'];
  const cases = [twice, requestEvent('GET', mine, { Authorization: bearer, authorization: 'Bearer other' }), {}, null, undefined,
    { type: 'TOKEN' }, { type: 'TOKEN', methodArn: '*', authorizationToken: bearer }, { ...tokenEvent('GET', mine), type: 'OTHER' },
    requestEvent('GET', mine, { Authorization: `${bearer}\r\nDomicile-Proxy-Token: x` }), { ...requestEvent('GET', mine), httpMethod: undefined },
    { ...requestEvent('GET', mine), path: 'no-slash' }, { ...httpEventTwo('GET', mine), requestContext: undefined }];
  for (const event of cases) {
    const answer = await handler(event);
    assert.equal(effect(answer), false, JSON.stringify(event));
    assert.equal(answer.context.reason, 'bad_event');
  }
  assert.equal(requestOf(httpEventTwo('GET', '/a b/é')).path, '/a%20b/%C3%A9');
});

test('a client cannot pass fields of the node or the proxy', async () => {
  const smuggled = { Authorization: bearer, 'X-Forwarded-Uri': mine, 'X-Forwarded-Method': 'GET', 'Domicile-Organization': given.own };
  assert.equal(effect(await handler(requestEvent('GET', `/api/orgs/${given.other}/courses`, smuggled))), false);
});

test('without the proxy\'s token the node says nothing', async () => {
  const answer = await createHandler({ ...options, proxyToken: 'wrong' })(httpEventTwo('GET', mine));
  assert.deepEqual([answer.isAuthorized, answer.context.reason], [false, 'untrusted_proxy']);
});

async function against(server, change = {}) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const faulty = createHandler({ url: `http://127.0.0.1:${server.address().port}`, timeoutMs: 300, log: () => {}, ...change });
  const answer = await faulty(requestEvent('GET', mine));
  server.close();
  server.closeAllConnections?.();
  return [effect(answer), answer.context.reason];
}

test('silence, slowness and answers that are not a node\'s are a no', async () => {
  const answering = (status, headers, body = '') => http.createServer((_, response) => { response.writeHead(status, headers); response.end(body); });
  const whole = { 'Domicile-Request-Id': 'r', 'Domicile-Organization': '7', 'Domicile-Epoch': '1', 'Domicile-Context': 'dc1~k~7~1~a~9~n~m' };
  assert.deepEqual(await against(answering(200, whole)), [true, undefined]); // the yardstick of what follows
  assert.deepEqual(await against(http.createServer(() => {})), [false, 'node_timeout']);
  assert.deepEqual(await against(http.createServer((_, response) => { response.writeHead(200, whole); response.write('x'); })), [false, 'node_timeout']);
  const held = [];
  assert.deepEqual(await against(net.createServer((socket) => held.push(socket))), [false, 'node_timeout']);
  held.forEach((socket) => socket.destroy());
  assert.deepEqual(await against(net.createServer((socket) => socket.end('no http\r\n\r\n'))), [false, 'node_unavailable']);
  assert.deepEqual(await against(answering(200, {})), [false, 'malformed_answer']);
  assert.deepEqual(await against(answering(200, { ...whole, 'Domicile-Context': 'dc1~k~8~1~a~9~n~m' })), [false, 'malformed_answer']);
  assert.deepEqual(await against(answering(200, { ...whole, 'Domicile-Epoch': '2' })), [false, 'malformed_answer']);
  assert.deepEqual(await against(answering(200, { ...whole, 'Domicile-Context': '' })), [false, 'malformed_answer']);
  assert.deepEqual(await against(answering(200, whole, 'x'.repeat(20000))), [false, 'node_unavailable']);
  assert.deepEqual(await against(answering(204, whole)), [false, 'node_204']);
  assert.deepEqual(await against(answering(302, { ...whole, Location: given.url })), [false, 'node_302']);
  const gone = createHandler({ url: 'http://127.0.0.1:1', log: () => {} });
  assert.equal(effect(await gone(requestEvent('GET', mine))), false);
});

test('the environment configures it, and a plain address is refused', () => {
  assert.throws(() => fromEnvironment({}), /DOMICILE_URL/);
  assert.throws(() => createHandler({ url: 'http://node.example' }), /https/);
  const read = fromEnvironment({ DOMICILE_URL: given.url, DOMICILE_CA_FILE: given.ca, DOMICILE_FORWARD_HEADERS: 'X-Org, x-b' });
  assert.deepEqual([read.forwardHeaders, read.timeoutMs, read.simpleResponses], [['x-org', 'x-b'], 2000, true]);
});
