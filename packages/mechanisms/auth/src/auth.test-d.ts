/** What must not compile. */
import { cached } from '@portcullis/core'
import { apiKeys, basic, basicCredentials, bearerToken, fileUserStore, memoryUserStore, passwordStore, userStore } from './index.ts'

const store = userStore('people', () => 'unknownUser')

// @ts-expect-error a peer is told what it logs in to
basic({ store })
// @ts-expect-error a misspelt option
basic({ store, realm: 'x', relm: 'y' })
// @ts-expect-error a refusal is one of the named ones, and a boolean is none
userStore('people', () => false)
// @ts-expect-error nobody is "undefined"
userStore('people', () => undefined)
// @ts-expect-error a store has a name, which tells its principals from those of others
memoryUserStore({ users: [] })
// @ts-expect-error no boolean lets plain text in
fileUserStore({ name: 'x', file: 'users.toml', plainText: true })
// @ts-expect-error a record has the stored value
passwordStore({ name: 'x', find: () => ({ username: 'tom' }) })
// @ts-expect-error the secret of old files is a Secret, so that it is not printed
fileUserStore({ name: 'x', file: 'users.toml', decryptionSecret: 'secret' })
// @ts-expect-error a source names whom its password is for
basicCredentials({ username: 'tom', password: 'x' })
// @ts-expect-error a source names whom its token is for
bearerToken({ token: 'x' })
// @ts-expect-error a key is somebody's
apiKeys({ name: 'x', carrier: 'x-api-key', keys: [{ key: 'x' }] })

cached(basicCredentials({ username: 'tom', password: 'x', targets: ['https://orders.example'] }))
