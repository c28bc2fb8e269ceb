import type { AccessRequest } from './access-request.ts'
import type { Advice, AuthenticationContext, Authenticator, Offer, Proven, Verdict } from './authenticator.ts'
import { notMine } from './authenticator.ts'
import { granted, type Authorization, type Authorizer, type Denied } from './authorizer.ts'
import type { Allow, Challenge, Decision, Explanation, Forbid, LeafExplanation, Refusal, Unavailable } from './decision.ts'
import { isSecurityError, type UnavailableError } from './errors.ts'
import { inheritInbound, keepInbound } from './inbound-credentials.ts'
import { isAuthorization, type Alternative, type Leaf } from './policy.ts'
import { anonymous, isPrincipal, withFactors, type Anonymous, type Principal } from './principal.ts'

type Party = Principal | Anonymous

interface ProvenLeaf {
  readonly outcome: 'proven'
  readonly principal: Party
  readonly advice: Advice | undefined
}
/** A refusal before it is dressed as a decision: of a leaf, or of an authorizer. */
interface Refused {
  readonly outcome: 'unavailable' | 'forbid' | 'invalid' | 'missing'
  readonly reason: Refusal['reason']
  readonly code: string
  readonly advice: Advice | undefined
  readonly cause: unknown
}
type LeafResult = ProvenLeaf | Refused

/** What one mechanism has said. */
interface Judged {
  readonly mechanism: Authenticator<Party>
  readonly result: LeafResult
  readonly next: Judged | undefined
}

/** What an evaluation needs to know of its guard. */
export interface Rules {
  readonly alternatives: readonly Alternative[]
  readonly authorize: Authorizer | undefined
  readonly offers: readonly Offer[]
  readonly context: AuthenticationContext
}

// The two orders of the composition rules: a disjunction answers with its best, a conjunction with its worst part.
const bestFirst: Readonly<Record<LeafResult['outcome'], number>> = { proven: 0, unavailable: 1, forbid: 2, invalid: 3, missing: 4 }
const worstFirst: Readonly<Record<LeafResult['outcome'], number>> = { invalid: 0, missing: 1, unavailable: 2, forbid: 3, proven: 4 }

// Within one outcome, so that the order of writing decides nothing: what the peer can do most about is told first.
const reasonOrder: Readonly<Record<Refusal['reason'], number>> = {
  stepUp: 0, insufficientScope: 1, forbidden: 2,
  invalid: 0, malformed: 1,
  outage: 0, overload: 1, internal: 2,
  missing: 0,
} // prettier-ignore

const missing: Refused = Object.freeze({
  outcome: 'missing',
  reason: 'missing',
  code: 'ERR_CREDENTIAL_MISSING',
  advice: undefined,
  cause: undefined,
})

/**
 * One request on its way through a policy. Each leaf is judged at most once; as long as no leaf needs I/O nothing is
 * awaited. Where one does, the walk ends, and begins again from the start with that leaf's result at hand.
 */
export class Evaluation {
  readonly #rules: Rules
  readonly #request: AccessRequest
  // A list linked by hand instead of a map: policies are short, and one judged mechanism costs one small object.
  #judged: Judged | undefined
  #scoped: Map<Leaf, LeafResult> | undefined
  #authorizations: Map<Alternative, Authorization | Refused> | undefined
  #granted: Alternative | undefined

  constructor(rules: Rules, request: AccessRequest) {
    this.#rules = rules
    this.#request = request
  }

  run(): Decision | Promise<Decision> {
    const fault = presentationFault(this.#request)
    if (fault !== undefined) return this.#refuse(fault)
    let best: Refused | undefined
    for (const alternative of this.#rules.alternatives) {
      const outcome = this.#walk(alternative)
      if (outcome instanceof Promise) return outcome.then(() => this.run())
      if (outcome.outcome === 'proven') return this.#allow(outcome.principal)
      if (best === undefined || isBetter(outcome, best)) best = outcome
    }
    return this.#refuse(best ?? missing)
  }

  /** Every leaf and every authorization, as far as they were judged. */
  explain(): Explanation {
    const all = new Set(this.#rules.alternatives.flat())
    return {
      leaves: [...all].map((leaf): LeafExplanation => {
        const result = this.#resultOf(leaf)
        if (result === undefined) return { leaf: leaf.authenticator.name, outcome: 'notJudged' }
        if (result.outcome === 'proven') return { leaf: leaf.authenticator.name, outcome: 'proven' }
        return {
          leaf: leaf.authenticator.name,
          outcome: result.outcome,
          code: result.code,
          ...(result.cause === undefined ? {} : { cause: result.cause }),
        }
      }),
      authorization: [...(this.#authorizations ?? []), ...(this.#granted ? [[this.#granted, granted] as const] : [])].map(
        ([alternative, said]) => ({
          alternative: alternative.map((leaf) => leaf.authenticator.name),
          outcome: said.outcome,
          ...('leaf' in said ? { leaf: said.leaf } : {}),
        }),
      ),
    }
  }

  /** The outcome of one alternative; a promise when something has to be awaited first. */
  #walk(alternative: Alternative): LeafResult | Promise<unknown> {
    let worst: Refused | undefined
    let subject: Principal | undefined
    let others: Principal[] | undefined
    for (const leaf of alternative) {
      let result = this.#resultOf(leaf)
      if (result === undefined) {
        const judged = this.#judge(leaf)
        if (judged instanceof Promise) return judged
        result = judged
      }
      if (result.outcome !== 'proven') {
        // Only a bad credential ends it early: nothing about scopes is told before every factor was looked at.
        if (result.outcome === 'invalid') return result
        if (worst === undefined || worstFirst[result.outcome] < worstFirst[worst.outcome]) worst = result
      } else if (result.principal.kind === 'principal') {
        if (subject === undefined) subject = result.principal
        else (others ??= []).push(result.principal)
      }
    }
    if (worst !== undefined) return worst
    const party = subject === undefined ? anonymous : others === undefined ? subject : withFactors(subject, others)
    if (subject !== undefined && party !== subject) inheritInbound(party as Principal, subject)
    return this.#authorize(alternative, party)
  }

  #authorize(alternative: Alternative, party: Party): LeafResult | Promise<unknown> {
    const { authorize } = this.#rules
    if (authorize === undefined) return { outcome: 'proven', principal: party, advice: undefined }
    const said = this.#authorizations?.get(alternative) ?? callAuthorizer(authorize, party, this.#request)
    if (said instanceof Promise) return said.then((answer) => this.#remember(alternative, answer))
    if (said.outcome !== 'granted') {
      this.#remember(alternative, said)
      return deniedTo(party, said)
    }
    this.#granted = alternative
    return { outcome: 'proven', principal: party, advice: undefined }
  }

  #remember(alternative: Alternative, said: Authorization | Refused): void {
    ;(this.#authorizations ??= new Map()).set(alternative, said)
  }

  /** What is known of a leaf; `undefined` if it was not judged, or its scopes were not. */
  #resultOf(leaf: Leaf): LeafResult | undefined {
    const verdict = this.#verdictOf(leaf.authenticator)
    return verdict === undefined || verdict.outcome !== 'proven' || leaf.authorize === undefined ? verdict : this.#scoped?.get(leaf)
  }

  /** Judges a leaf. Its mechanism is asked once a request, also where it stands twice with different scopes. */
  #judge(leaf: Leaf): LeafResult | Promise<unknown> {
    const verdict = this.#verdictOf(leaf.authenticator) ?? this.#authenticate(leaf.authenticator)
    if (verdict instanceof Promise) return verdict
    if (verdict.outcome !== 'proven' || leaf.authorize === undefined) return verdict
    const scoped = (said: Authorization | Refused): LeafResult => {
      const result = said.outcome === 'granted' ? verdict : deniedTo(verdict.principal, said)
      ;(this.#scoped ??= new Map()).set(leaf, result)
      return result
    }
    const said = callAuthorizer(leaf.authorize, verdict.principal, this.#request)
    return said instanceof Promise ? said.then(scoped) : scoped(said)
  }

  #authenticate(mechanism: Authenticator<Party>): LeafResult | Promise<LeafResult> {
    try {
      const verdict = mechanism.authenticate(this.#request, this.#rules.context)
      if (isThenable(verdict))
        return Promise.resolve(verdict)
          .then((settled) => this.#read(settled))
          .catch(faultOf)
          .then((result) => this.#keep(mechanism, result))
      return this.#keep(mechanism, this.#read(verdict))
    } catch (error) {
      return this.#keep(mechanism, faultOf(error))
    }
  }

  #keep(mechanism: Authenticator<Party>, result: LeafResult): LeafResult {
    if (result.outcome === 'proven' && result.principal.kind === 'principal') keepInbound(mechanism, result.principal, this.#request)
    this.#judged = { mechanism, result, next: this.#judged }
    return result
  }

  #verdictOf(mechanism: Authenticator<Party>): LeafResult | undefined {
    for (let one = this.#judged; one !== undefined; one = one.next) if (one.mechanism === mechanism) return one.result
    return undefined
  }

  #read(verdict: Verdict<Party>): LeafResult {
    if (isPrincipal(verdict)) return this.#proven(verdict, undefined)
    if (verdict === notMine) return missing
    if (verdict === anonymous) return { outcome: 'proven', principal: anonymous, advice: undefined }
    if (typeof verdict === 'object' && verdict !== null) {
      if ('proven' in verdict && isPrincipal(verdict.proven)) return this.#proven(verdict.proven, verdict as Proven)
      if ('refused' in verdict && typeof verdict.refused === 'string') {
        return {
          outcome: 'invalid',
          reason: verdict.reason === 'malformed' ? 'malformed' : 'invalid',
          code: verdict.refused,
          advice: verdict.advice,
          cause: verdict.cause,
        }
      }
    }
    return { outcome: 'unavailable', reason: 'internal', code: 'ERR_VERDICT_INVALID', advice: undefined, cause: undefined }
  }

  #proven(principal: Principal, proven: Proven | undefined): LeafResult {
    const code =
      standingOf(principal, this.#rules.context.clock.now()) ??
      (confirmed(principal, this.#request, proven) ? undefined : 'ERR_CONFIRMATION_UNMET')
    if (code !== undefined) return { outcome: 'invalid', reason: 'invalid', code, advice: proven?.advice, cause: undefined }
    return { outcome: 'proven', principal, advice: proven?.advice }
  }

  #allow(principal: Party): AllowDecision {
    return new AllowDecision(principal, this.#collectAdvice(), this)
  }

  #refuse(refused: Refused): Refusal {
    const nonce = refused.advice?.nonce ?? this.#collectAdvice()?.nonce
    return refusalOf(refused, nonce === undefined ? refused.advice : { ...refused.advice, nonce }, this.#rules.offers, this)
  }

  // A nonce must travel whatever became of the other leaves (RFC 9449 section 8.2).
  #collectAdvice(): Advice | undefined {
    for (let one = this.#judged; one !== undefined; one = one.next) {
      const { outcome, advice } = one.result
      if (advice?.nonce !== undefined) return outcome === 'proven' ? advice : { nonce: advice.nonce }
    }
    return undefined
  }
}

class AllowDecision implements Allow {
  readonly outcome = 'allow'
  readonly principal: Party
  readonly advice: Advice | undefined
  readonly #evaluation: Pick<Evaluation, 'explain'>

  constructor(principal: Party, advice: Advice | undefined, evaluation: Pick<Evaluation, 'explain'>) {
    this.principal = principal
    this.advice = advice
    this.#evaluation = evaluation
  }

  explain(): Explanation {
    return this.#evaluation.explain()
  }
}

const nothingJudged = { explain: (): Explanation => ({ leaves: [], authorization: [] }) }

/** Allowed without judging anything. */
export function allowed(principal: Party): Allow {
  return new AllowDecision(principal, undefined, nothingJudged)
}

/** Judges what was proven before: still standing, and may it do this? */
export function authorizeStanding(
  rules: Rules,
  principal: Party,
  action: Pick<AccessRequest, 'action' | 'resource' | 'attributes'>,
): Decision | Promise<Decision> {
  if (principal !== anonymous) {
    if (!isPrincipal(principal))
      return refusalOf(
        { outcome: 'unavailable', reason: 'internal', code: 'ERR_VERDICT_INVALID', advice: undefined, cause: undefined },
        undefined,
        rules.offers,
        nothingJudged,
      )
    const code = standingOf(principal, rules.context.clock.now())
    if (code !== undefined)
      return refusalOf(
        { outcome: 'invalid', reason: 'invalid', code, advice: undefined, cause: undefined },
        undefined,
        rules.offers,
        nothingJudged,
      )
  }
  if (rules.authorize === undefined) return allowed(principal)
  const said = callAuthorizer(rules.authorize, principal, action)
  const decide = (answer: Authorization | Refused): Decision => {
    if (answer.outcome === 'granted') return allowed(principal)
    const denied = deniedTo(principal, answer)
    return refusalOf(denied, denied.advice, rules.offers, nothingJudged)
  }
  return said instanceof Promise ? said.then(decide) : decide(said)
}

/** Why a principal no longer stands, if so. */
function standingOf(principal: Principal, now: number): string | undefined {
  if (principal.expiresAtMs <= now) return 'ERR_PRINCIPAL_EXPIRED'
  return principal.revoked ? 'ERR_PRINCIPAL_REVOKED' : undefined
}

// RFC 7800 section 3.1: a confirmation that is not understood is not met. All members must be.
function confirmed(principal: Principal, request: AccessRequest, proven: Proven | undefined): boolean {
  const { confirmation } = principal
  if (confirmation === undefined) return true
  const members = Object.keys(confirmation)
  return (
    members.length > 0 &&
    members.every((member) => {
      if (member === 'x5t#S256') return request.channel.from === 'peer' && request.channel.certificate?.thumbprint === confirmation[member]
      return member === 'jkt' && proven?.possession?.jkt === confirmation[member]
    })
  )
}

/** What is wrong with the credentials as a whole, before any of them is judged. */
function presentationFault({ credentials }: AccessRequest): Refused | undefined {
  for (let at = 0; at < credentials.length; at++) {
    const credential = credentials[at]
    if (credential === undefined) continue
    if (credential.kind === 'malformed') return malformed('ERR_CREDENTIAL_MALFORMED', credential.why)
    for (let before = 0; before < at; before++) {
      const other = credentials[before]
      if (other !== undefined && (other.carrier === credential.carrier || other.kind === credential.kind))
        return malformed('ERR_CREDENTIAL_AMBIGUOUS', `${credential.kind} in ${other.carrier} and ${credential.carrier}`)
    }
  }
  return undefined
}

function malformed(code: string, cause: string): Refused {
  return { outcome: 'invalid', reason: 'malformed', code, advice: undefined, cause }
}

function callAuthorizer(
  authorize: Authorizer,
  party: Party,
  action: Pick<AccessRequest, 'action' | 'resource' | 'attributes'>,
): Authorization | Refused | Promise<Authorization | Refused> {
  try {
    const said = authorize(party, action)
    return isThenable(said) ? Promise.resolve(said).then(checked).catch(faultOf) : checked(said)
  } catch (error) {
    return faultOf(error)
  }
}

function checked(said: Authorization): Authorization | Refused {
  return isAuthorization(said)
    ? said
    : { outcome: 'unavailable', reason: 'internal', code: 'ERR_VERDICT_INVALID', advice: undefined, cause: undefined }
}

function deniedTo(party: Party, said: Denied | Refused): Refused {
  if ('reason' in said) return said
  // Nobody was told to prove anything yet, so the answer is a challenge, not a refusal of rights.
  if (party.kind === 'anonymous') return { ...missing, advice: said.advice }
  const reason = said.outcome === 'stepUp' ? 'stepUp' : said.code === 'ERR_SCOPE_INSUFFICIENT' ? 'insufficientScope' : 'forbidden'
  return { outcome: 'forbid', reason, code: said.code, advice: said.advice, cause: said.leaf }
}

/** What an exception means: errors of ours by their family, anything else is a fault of ours. Never allow. */
function faultOf(error: unknown): Refused {
  if (isSecurityError(error)) {
    if (error.family === 'authentication')
      return { outcome: 'invalid', reason: 'invalid', code: error.code, advice: undefined, cause: error }
    if (error.family === 'authorization')
      return { outcome: 'forbid', reason: 'forbidden', code: error.code, advice: undefined, cause: error }
    if (error.family === 'unavailable')
      return {
        outcome: 'unavailable',
        reason: (error as Partial<UnavailableError>).reason === 'overload' ? 'overload' : 'outage',
        code: error.code,
        advice: undefined,
        cause: error,
      }
  }
  return { outcome: 'unavailable', reason: 'internal', code: 'ERR_INTERNAL', advice: undefined, cause: error }
}

function isBetter(a: Refused, b: Refused): boolean {
  const rank = bestFirst[a.outcome] - bestFirst[b.outcome]
  return rank < 0 || (rank === 0 && reasonOrder[a.reason] < reasonOrder[b.reason])
}

function refusalOf(
  refused: Refused,
  advice: Advice | undefined,
  offers: readonly Offer[],
  evaluation: Pick<Evaluation, 'explain'>,
): Refusal {
  const base = { code: refused.code, advice, offers, cause: refused.cause, explain: () => evaluation.explain() }
  switch (refused.reason) {
    case 'outage':
    case 'overload':
    case 'internal':
      return {
        ...base,
        outcome: 'unavailable',
        reason: refused.reason,
        retryAfterMs: refused.reason === 'internal' ? undefined : (refused.cause as Partial<UnavailableError> | undefined)?.retryAfterMs,
      } satisfies Unavailable
    case 'insufficientScope':
    case 'forbidden':
      return { ...base, outcome: 'forbid', reason: refused.reason } satisfies Forbid
    default:
      return { ...base, outcome: 'challenge', reason: refused.reason } satisfies Challenge
  }
}

function isThenable<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
