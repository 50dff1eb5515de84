"""A web application that signs people in, as seen by a test: Authlib on its side, and a browser."""

from authlib.integrations.requests_client import OAuth2Session

from support.browser import Browser
from support.identity_world import CANADA, PASSWORD

APPLICATION = "https://app.example/signed-in"


class Application:
    """A web application with Authlib, and a browser that visits it."""

    def __init__(self, world, region=CANADA, scope="openid courses:read"):
        self.world, self.region = world, region
        self.browser = Browser(world.local.data / "ca.pem", APPLICATION)
        self.client = OAuth2Session("app", redirect_uri=APPLICATION, scope=scope, code_challenge_method="S256",
                                    token_endpoint_auth_method="none")
        self.client.trust_env = False
        self.client.verify = str(world.local.data / "ca.pem")
        self.verifier = "v" * 64
        self.url, self.state = "", ""

    def start(self, **more):
        self.url, self.state = self.client.create_authorization_url(
            self.world.url(self.region) + "/oauth2/authorize", code_verifier=self.verifier, nonce="n-1", **more)
        return self.browser.open(self.url)

    def tokens(self, answer, region=None):
        return self.client.fetch_token(self.world.url(region or self.region) + "/oauth2/token", code_verifier=self.verifier,
                                       authorization_response=answer.location, state=self.state)

    def sign_in(self, organization="maple", username="ann", password=PASSWORD, **more):
        return self.start(organization=organization, **more).submit(username=username, password=password)
