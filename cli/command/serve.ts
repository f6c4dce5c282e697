import type { Command } from "commander";
import { addCommonFlags, collect } from "../common.ts";
import type { Io } from "../io.ts";
import type { ServeFlags } from "../serve_access.ts";

/** `wherry serve`. */
export function define(command: Command, io: Io): void {
  command
    .option(
      "--listen <host:port>",
      "where to listen; port 0 takes a free one; unix:PATH for a socket",
      "127.0.0.1:5000",
    )
    .option("--url <url>", "how clients reach this server, where that is not the address above")
    .option("--read-only", "refuse everything that changes the store")
    .option("--ephemeral", "serve an empty registry in memory instead of the store")
    .option("--no-explorer", "no web pages")
    .option("--access-log <file>", "one line of JSON for each request; - is stdout")
    .option(
      "--trusted-proxy <cidr>",
      "believe X-Forwarded-For from there; unix for whoever reaches the socket file",
      collect,
    )
    .optionsGroup("TLS flags:")
    .option("--tls-cert <file>", "certificate chain (PEM): speak https")
    .option("--tls-key <file>", "its private key (PEM)")
    .option("--tls-client-ca <file>", "let in only clients with a certificate of these authorities")
    .optionsGroup("Access flags:")
    .option("--htpasswd <file>", "users and bcrypt hashes, as htpasswd -B makes them")
    .option("--policy <file>", "who may do what in which repository (TOML)")
    .option("--token", "give out bearer tokens at /token to the users of --htpasswd")
    .option("--token-key <file>", "take tokens signed with this public key (PEM or JWKS)", collect)
    .option("--token-issuer <name>", "what those tokens say in iss")
    .option("--token-realm <url>", "the token server that clients are sent to")
    .option("--token-service <name>", "the name of this registry in tokens", "wherry")
    .option("--insecure-no-auth", "listen beyond this machine although everybody may push")
    .addHelpText(
      "after",
      `
The address is printed on stdout when the server is ready. Without --htpasswd, --token-key,
--tls-client-ca or --policy everybody who reaches the server may do everything, so it listens
on this machine only.

Passwords and policy are read again when their files change. The common name in a client's
certificate is a user too. Without a policy every user may do everything and nobody else
anything. A policy says more:

    [groups]
    operators = ["carol"]

    [[rule]]                      # everybody may pull what is public
    repositories = ["public/**"]  # * is one part of a name, ** several
    anonymous = true
    actions = ["read"]

    [[rule]]
    repositories = ["team/**"]
    users = ["alice"]             # "*" is everybody who is logged in
    groups = ["operators"]
    actions = ["read", "create", "update"]   # also "delete"; "*" is all four

/healthz says that the server is alive, /metrics counts (for users, where there are any).`,
    );
  addCommonFlags(command);
  command.action(async (flags: ServeFlags) => {
    const { serveStore } = await import("../serve_store.ts");
    await serveStore(io, flags);
  });
}
