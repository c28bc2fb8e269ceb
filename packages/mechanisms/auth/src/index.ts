/**
 * `@portcullis/auth`: users with passwords, and static keys: who a peer is, by name and password (Basic) or by an API
 * key, out of a file, a list or a store of your own; and the sources that send such credentials.
 *
 * Not for tokens: an access token belongs to `@portcullis/jwt` or `@portcullis/oauth2`. Not for people in a directory:
 * that store is `@portcullis/ldap`, used with {@link basic} from here.
 */
export { basic } from './basic.ts'
export type { BasicOptions } from './basic.ts'
export { maxPasswordBytes, maxUsernameLength, userStore } from './user-store.ts'
export type { User, UserCredential, UserRefusal, UserStore, UserStoreContext } from './user-store.ts'
export { apiKeys, minKeyLength } from './api-keys.ts'
export type { ApiKey, ApiKeysOptions } from './api-keys.ts'
export { basicCredentials } from './basic-credentials.ts'
export type { BasicCredentialsOptions } from './basic-credentials.ts'
export { bearerToken } from './bearer-token.ts'
export type { BearerTokenOptions } from './bearer-token.ts'
export type { SecretInput } from './static-source.ts'
export { authErrorCodes } from './errors.ts'
export type { AuthErrorCode } from './errors.ts'
