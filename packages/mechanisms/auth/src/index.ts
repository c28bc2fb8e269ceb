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
export { passwordStore } from './password-store.ts'
export type { PasswordStoreOptions } from './password-store.ts'
export { maxBelieveForMs } from './password-check.ts'
export type { PasswordOptions, UserRecord } from './password-check.ts'
export type { ReadingOptions } from './stored-password.ts'
export { memoryUserStore } from './memory-user-store.ts'
export type { MemoryUserStoreOptions } from './memory-user-store.ts'
export { fileUserStore, maxStaleMsLimit } from './file-user-store.ts'
export type { FileUserStore, FileUserStoreOptions, FileUserStoreStatus } from './file-user-store.ts'
export type { UserEntry } from './user-entry.ts'
export { reportLater } from './store-event.ts'
export type { StoreReport } from './store-event.ts'
export { peerShare } from './peer-share.ts'
export { apiKeys, minKeyLength } from './api-keys.ts'
export type { ApiKey, ApiKeysOptions } from './api-keys.ts'
export { basicCredentials } from './basic-credentials.ts'
export type { BasicCredentialsOptions } from './basic-credentials.ts'
export { bearerToken } from './bearer-token.ts'
export type { BearerTokenOptions } from './bearer-token.ts'
export type { SecretInput } from './static-source.ts'
export { authErrorCodes } from './errors.ts'
export type { AuthErrorCode } from './errors.ts'
