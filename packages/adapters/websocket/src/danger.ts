/**
 * What weakens `@portcullis/websocket`. Import nothing from here that a reviewer has not agreed to.
 */
export { plaintextChannel } from '@portcullis/http/danger'

/**
 * In place of `origins`: let pages of every site connect. What a browser adds by itself (a client certificate, remembered
 * Basic credentials) then speaks for any page that the user happens to visit; cookies are still refused from elsewhere.
 */
export const anyOrigin: unique symbol = Symbol.for('portcullis.websocket.anyOrigin') as never
