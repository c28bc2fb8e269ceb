/** MD5, for old checksums only: collisions take seconds. Pass it to `digest` or `hmac` in place of a name. */
export const md5: unique symbol = Symbol('md5')

/** SHA-1, for old protocols only: collisions are practical. Pass it to `digest` or `hmac` in place of a name. */
export const sha1: unique symbol = Symbol('sha1')

/** A digest that is only there for old peers. */
export type WeakDigest = typeof md5 | typeof sha1

export const weakDigestNames: ReadonlyMap<unknown, string> = new Map([
  [md5, 'md5'],
  [sha1, 'sha1'],
])
