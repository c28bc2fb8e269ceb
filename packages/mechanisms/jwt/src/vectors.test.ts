import { createPublicKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { manualClock } from '@portcullis/core/testing'
import { signatureCheck } from './algorithms.ts'
import { anyAudience } from './danger.ts'
import type { IssuerOptions } from './claims.ts'
import { createVerifier } from './verify.ts'

// The claims of RFC 7519 section 3.1, which RFC 7515 appendix A signs: {"iss":"joe","exp":1300819380,"http://example.com/is_root":true}
const payload = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'
const clock = manualClock(1_300_819_379_000)
const vectors: readonly {
  readonly source: string
  readonly keys: IssuerOptions['keys']
  readonly header: string
  readonly signature: string
}[] = [
  {
    source: 'RFC 7515 appendix A.1',
    keys: { jwks: { keys: [{ kty: 'oct', k: 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow' }] } },
    header: 'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9',
    signature: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
  },
  {
    source: 'RFC 7515 appendix A.2',
    keys: {
      jwks: {
        keys: [
          {
            kty: 'RSA',
            n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ',
            e: 'AQAB',
          },
        ],
      },
    },
    header: 'eyJhbGciOiJSUzI1NiJ9',
    signature:
      'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw',
  },
  {
    source: 'RFC 7515 appendix A.3',
    keys: {
      jwks: {
        keys: [
          { kty: 'EC', crv: 'P-256', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' },
        ],
      },
    },
    header: 'eyJhbGciOiJFUzI1NiJ9',
    signature: 'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q',
  },
]

describe('published examples', () => {
  it.each(vectors)('$source', async ({ keys, header, signature }) => {
    const verifier = createVerifier({ issuer: 'joe', audience: anyAudience, keys, clock })
    expect(await verifier.verify(`${header}.${payload}.${signature}`)).toMatchObject({
      claims: { iss: 'joe', 'http://example.com/is_root': true },
    })
    const other = createVerifier({ issuer: 'joe', audience: 'me', keys, clock })
    expect(await other.verify(`${header}.${payload}.${signature}`)).toMatchObject({ refused: 'ERR_JWT_CLAIM_MISSING' })
  })

  it('RFC 7519 section 6.1: an unsecured JWT', async () => {
    const verifier = createVerifier({ issuer: 'joe', audience: anyAudience, keys: vectors[0]!.keys, clock })
    expect(await verifier.verify(`eyJhbGciOiJub25lIn0.${payload}.`)).toMatchObject({ refused: 'ERR_JWT_UNSECURED' })
  })

  it('RFC 8037 appendix A.4', () => {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }, format: 'jwk' })
    const signature = Buffer.from('hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg', 'base64url')
    expect(signatureCheck('EdDSA', key).verify(Buffer.from('eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc'), signature)).toBe(
      true,
    )
    expect(signatureCheck('EdDSA', key).verify(Buffer.from('eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmd'), signature)).toBe(
      false,
    )
  })
})
