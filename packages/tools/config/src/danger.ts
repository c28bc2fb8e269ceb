/**
 * Ways to weaken `@portcullis/config`. Each is a symbol, so that none can arrive from data and a search finds every use.
 */

/**
 * As `disabled: { 'services./health.enabled': authenticationDisabled }`: lets `enabled = false` at this place of the data take
 * effect (D-6). Whoever may change the data can then open that level to everybody; without it such data are an error.
 */
export const authenticationDisabled: unique symbol = Symbol.for('portcullis.config.authenticationDisabled') as never
