export const issuer = 'https://issuer.example'
export const audience = 'orders'
/** Enough different tokens that no peer remembers one by accident. */
export const differentTokens = 64

/** Takes the tokens in turn, each as a fresh string. */
export function turn(texts: readonly Buffer[]): () => string {
  let at = 0
  return () => {
    at = at + 1 === texts.length ? 0 : at + 1
    return texts[at]?.toString('latin1') ?? ''
  }
}

/** Throws unless a verifier of ours has accepted the token. */
export function accepted(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('claims' in result)) throw new Error(`not accepted: ${JSON.stringify(result)}`)
}
