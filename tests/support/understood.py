"""What nginx and HAProxy understand of the bytes that the door sends them: each stands as the door's upstream, in front of
a recorder, and adds to every request what it took its method, target and path to be."""

import os

from support.other_proxies import Proxy
from support.postgres import free_port

NGINX = """{user} daemon off; error_log {folder}/error.log info; pid {folder}/nginx.pid; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; client_max_body_size 0; large_client_header_buffers 8 64k; keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    merge_slashes off;
    location / {{
      proxy_pass http://127.0.0.1:{recorder};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Seen-Method $request_method;
      proxy_set_header X-Seen-Target $request_uri;
      proxy_set_header X-Seen-Path $uri;
      proxy_set_header X-Seen-Query $args;
      proxy_set_header X-Seen-Connection $remote_port;
    }}
  }}
}}
"""
HAPROXY = """global
  tune.http.maxhdr 300
defaults
  mode http
  timeout connect 3s
  timeout client 30s
  timeout server 30s
  option http-keep-alive
frontend f
  bind 127.0.0.1:{port}
  http-request set-header x-seen-method %[method]
  http-request set-header x-seen-target %[url]
  http-request set-header x-seen-path %[path,url_dec(0)]
  http-request set-header x-seen-query %[query]
  http-request set-header x-seen-connection %[src_port]
  default_backend b
backend b
  server s 127.0.0.1:{recorder}
"""


class NginxUpstream(Proxy):
    def __init__(self, folder, recorder: int):
        self.folder, self.port, self.log = folder, free_port(), open(folder / "nginx.log", "w+")
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=self.port, recorder=recorder,
                                                        user="user root;" if os.geteuid() == 0 else ""))
        self.start(["/usr/sbin/nginx", "-c", folder / "nginx.conf", "-e", folder / "error.log"])


class HaProxyUpstream(Proxy):
    def __init__(self, folder, recorder: int):
        self.folder, self.port, self.log = folder, free_port(), open(folder / "haproxy.log", "w+")
        (folder / "haproxy.cfg").write_text(HAPROXY.format(port=self.port, recorder=recorder))
        self.start(["/usr/sbin/haproxy", "-db", "-f", folder / "haproxy.cfg"])


UPSTREAMS = {"nginx": NginxUpstream, "haproxy": HaProxyUpstream}
