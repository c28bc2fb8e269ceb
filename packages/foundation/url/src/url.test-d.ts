import { encode } from './index.ts'

// @ts-expect-error A charset is one of six; a misspelt one does not compile.
encode('a', 'utf8')
// @ts-expect-error Text goes in.
encode(7)

encode('a', 'ISO-8859-1')
