// The certified library openid-client against a regional issuer. Prints what it wants the browser to open; reads where the
// browser was sent; prints what came of it.
import { createInterface } from 'node:readline/promises'
import { Issuer, generators } from 'openid-client'

const given = JSON.parse(process.env.DOMICILE_TEST)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = value => console.log(JSON.stringify(value))

const issuer = await Issuer.discover(given.issuer)
const client = new issuer.Client({
  client_id: given.client, redirect_uris: [given.redirect], response_types: ['code'],
  token_endpoint_auth_method: 'none', id_token_signed_response_alg: 'ES256',
})
const code_verifier = generators.codeVerifier()
const state = generators.state(), nonce = generators.nonce()
say(client.authorizationUrl({
  scope: 'openid courses:read', state, nonce, organization: given.organization,
  code_challenge: generators.codeChallenge(code_verifier), code_challenge_method: 'S256',
}))

const { value: sentTo } = await lines.next()
const tokens = await client.callback(given.redirect, client.callbackParams(sentTo), { code_verifier, state, nonce })
const refreshed = await client.refresh(tokens.refresh_token)
say({ claims: tokens.claims(), scope: tokens.scope, access_token: refreshed.access_token,
      out: client.endSessionUrl({ client_id: given.client, post_logout_redirect_uri: given.redirect }) })

await lines.next()
await client.revoke(refreshed.access_token)
say('revoked')
process.exit(0)
