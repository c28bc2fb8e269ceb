/**
 * What weakens `@portcullis/sts`. Import nothing from here that a reviewer has not agreed to.
 */

/** In place of `tls`: speaks HTTP without encryption, so that everybody on the path reads every secret and token. For a token service that only a test reaches. */
export { plaintextChannel } from '@portcullis/http/danger'
