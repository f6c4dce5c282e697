/** Certificates for tests, made on the spot by openssl. */

/** A private authority and certificates it signed, as PEM. */
export interface TestPki {
  /** The authority. */
  readonly ca: string;
  /** For `localhost` and `127.0.0.1`. */
  readonly server: { readonly cert: string; readonly key: string };
  /** For a client. */
  readonly client: { readonly cert: string; readonly key: string };
}

/** Makes an authority; `undefined` where openssl is missing. */
export async function makePki(): Promise<TestPki | undefined> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-pki-" });
  const openssl = async (...args: readonly string[]) => {
    const { success, stderr } = await new Deno.Command("openssl", {
      args: [...args],
      cwd: dir,
      stderr: "piped",
      stdout: "null",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"];
  const read = (name: string) => Deno.readTextFile(`${dir}/${name}`);
  const signed = async (name: string, extension: string) => {
    await Deno.writeTextFile(`${dir}/${name}.ext`, extension);
    await openssl("req", ...key, `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    await openssl(
      ...[
        "x509",
        "-req",
        "-in",
        `${name}.csr`,
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
      ],
      ...["-out", `${name}.pem`, "-days", "30", "-extfile", `${name}.ext`],
    );
    return { cert: await read(`${name}.pem`), key: await read(`${name}.key`) };
  };
  try {
    await openssl(
      "req",
      "-x509",
      ...key,
      "ca.key",
      "-out",
      "ca.pem",
      "-subj",
      "/CN=Test authority",
      "-days",
      "30",
    );
    return {
      server: await signed("server", "subjectAltName=DNS:localhost,IP:127.0.0.1\n"),
      client: await signed("client", "extendedKeyUsage=clientAuth\n"),
      ca: await read("ca.pem"),
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
