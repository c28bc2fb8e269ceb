/** The codes of the errors of `@portcullis/sts`, each with its meaning. */
export const stsErrorCodes = {
  ERR_STS_AUDIENCE_UNKNOWN: 'A client names an audience that the token service does not have.',
  ERR_STS_CLAIM_RESERVED: 'A field of a token has a name that the token service itself gives a meaning.',
  ERR_STS_CLIENT_INVALID: 'A client is described in a way that makes no sense: no proof, two proofs, a grant without what it needs.',
  ERR_STS_CLIENT_DUPLICATE: 'Two clients have one identifier.',
  ERR_STS_GRANT_NOT_CONFIGURED: 'A client may use a grant that the token service has not been set up for.',
  ERR_STS_KEY_UNUSABLE: 'A signing key cannot be used, or two have one identifier.',
  ERR_STS_KEYS_REQUIRED: 'Several instances share one state, and each would sign with keys that the others do not publish.',
  ERR_STS_STATE_FAILING: 'The store of tokens does not answer, or refuses.',
  ERR_STS_STATE_FULL: 'The store of tokens has no room; nothing was forgotten to make some.',
} as const satisfies Record<`ERR_STS_${string}`, string>

/** One of the keys of {@link stsErrorCodes}. */
export type StsErrorCode = keyof typeof stsErrorCodes
