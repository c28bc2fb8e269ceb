import { everyone, guard } from '@portcullis/core'
import { developmentTls } from '@portcullis/tls/development'
import { expect, it } from 'vitest'
import { client, serve } from './index.ts'

it('hands on an answer that was fetched elsewhere, whatever it says of its length', async () => {
  const tls = await developmentTls()
  const open = guard({ authenticate: everyone() })
  await using behind = await serve(
    { tls, port: 0, guard: open },
    () => new Response('hello', { headers: { 'x-own': 'kept', 'content-length': '5' } }),
  )
  using onwards = await client({ tls: tls.client })
  await using front = await serve({ tls, port: 0, guard: open }, () => onwards(behind.origin))
  using call = await client({ tls: tls.client })
  const answer = await call(front.origin)
  expect([answer.status, answer.headers.get('x-own'), await answer.text()]).toEqual([200, 'kept', 'hello'])
})
