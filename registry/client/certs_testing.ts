/** Servers with good and bad certificates, made on the spot by openssl, that say who called. */
import https from "node:https";
import type { AddressInfo } from "node:net";

/** A certificate and its key, in PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** An authority that signs what it is told to. */
export interface TestAuthority {
  readonly cert: string;
  /** A certificate for `names` (`DNS:x,IP:y`), good for `days` from now; negative: it has ended. */
  sign(name: string, names: string, days?: number): Promise<Pair>;
}

/** Makes an authority whose files lie in `dir`, which must be empty. */
export async function makeAuthority(dir: string, name: string): Promise<TestAuthority> {
  const read = (file: string) => Deno.readTextFile(`${dir}/${file}`);
  const made = (file: string) => [
    ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-keyout", `${file}.key`],
  ];
  const openssl = async (...args: readonly string[]) => {
    const { success, stderr } = await new Deno.Command("openssl", {
      args: [...args],
      cwd: dir,
      stderr: "piped",
      stdout: "null",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  await openssl(
    ...["req", "-x509", ...made("ca"), "-out", "ca.pem", "-subj", `/CN=${name}`, "-days", "30"],
  );
  let nth = 0;
  return {
    cert: await read("ca.pem"),
    async sign(name, names, days = 30) {
      const file = `c${++nth}`;
      await Deno.writeTextFile(`${dir}/${file}.ext`, `subjectAltName=${names}\n`);
      await openssl("req", ...made(file), "-out", `${file}.csr`, "-subj", `/CN=${name}`);
      await openssl(
        ...["x509", "-req", "-in", `${file}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key"],
        ...["-set_serial", String(nth), "-out", `${file}.pem`, "-days", String(days)],
        ...["-extfile", `${file}.ext`],
      );
      return { cert: await read(`${file}.pem`), key: await read(`${file}.key`) };
    },
  };
}

/** A server that asks for the caller's certificate and answers with the name in it. */
export interface AskingServer extends AsyncDisposable {
  readonly port: number;
  /** The name in each caller's certificate, or `-`. */
  readonly callers: string[];
}

/** Starts one; `redirect` sends callers elsewhere instead. */
export async function askingServer(
  own: Pair,
  ca: string,
  redirect?: () => string,
): Promise<AskingServer> {
  const callers: string[] = [];
  const server = https.createServer(
    { ...own, ca: [ca], requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const socket = request.socket as unknown as {
        getPeerCertificate(): { readonly subject?: { readonly CN?: string } };
      };
      callers.push(socket.getPeerCertificate().subject?.CN ?? "-");
      const location = redirect?.();
      if (location === undefined) response.end("hello");
      else response.writeHead(307, { location }).end();
    },
  );
  server.on("tlsClientError", () => {}); // callers that do not trust us
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    callers,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
