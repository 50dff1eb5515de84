// The certified oidc-provider as a school's identity provider: JWT access tokens for a resource, claims nested as in Keycloak.
import Provider from 'oidc-provider'

const given = JSON.parse(process.env.DOMICILE_TEST)
const provider = new Provider(given.issuer, {
  clients: [{ client_id: 'portal', client_secret: given.secret, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
  features: {
    clientCredentials: { enabled: true }, devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: '101 201 999', audience: 'portal', accessTokenFormat: 'jwt',
                                      jwt: { sign: { alg: 'RS256' } } }),
    },
  },
  extraTokenClaims: (ctx, token) => ({ tenant: { org: token.scope }, realm_access: { roles: ['Teachers', 'offline_access'] } }),
})
provider.listen(given.port, '127.0.0.1', () => console.log('ready'))
