/** The codes of the errors of `@portcullis/config`, each with its meaning. Unknown keys and empty values have core's `ERR_OPTION_*`. */
export const configErrorCodes = {
  ERR_CONFIG_TOML: 'The text is no valid TOML.',
  ERR_CONFIG_VALUE: 'The data hold something that is no plain value: a function, a symbol, an instance of a class, undefined.',
  ERR_CONFIG_MECHANISM_UNKNOWN: 'A policy names a mechanism that neither the data nor the calling code has.',
  ERR_CONFIG_MECHANISM_DUPLICATE: 'The data and the calling code both have a mechanism of one name, or its name is reserved.',
  ERR_CONFIG_LEVEL_UNKNOWN: 'The data have a service or resource that the calling code does not name, or the reverse.',
  ERR_CONFIG_DISABLED: 'The data switch authentication off at a place that the calling code does not name for it.',
  ERR_CONFIG_ANONYMOUS: 'The data admit peers who prove nothing at a place that the calling code does not name for it.',
  ERR_CONFIG_IN_CODE: 'A value that the calling code supplies stands in the data too, or belongs to nothing there.',
  ERR_CONFIG_SECRET: 'The file or the environment variable that holds a secret cannot be read, or is empty.',
  ERR_CONFIG_PACKAGE_MISSING: 'The data name a mechanism whose package is not installed.',
} as const satisfies Record<`ERR_CONFIG_${string}`, string>

/** One of the keys of {@link configErrorCodes}. */
export type ConfigErrorCode = keyof typeof configErrorCodes
