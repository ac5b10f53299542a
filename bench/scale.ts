/** How long each thing is measured. */
export interface Scale {
  readonly name: 'quick' | 'full'
  readonly rounds: number
  readonly transferMs: number // target duration of one transfer
  readonly rateMs: number // of requests, calls and connections
  readonly setUps: number
  readonly roundTrips: number
  readonly requests: number // of 1 MB
  readonly cold: number
  readonly idle: number // connections
  readonly hurryAfterMs: number // of the run; what comes then gets one round only
  readonly many: number // connections of the rows about many; 0: not measured
}

export const QUICK: Scale = {
  name: 'quick',
  rounds: 3,
  transferMs: 250,
  rateMs: 250,
  setUps: 20,
  roundTrips: 300,
  requests: 25,
  cold: 1,
  idle: 1_000,
  hurryAfterMs: 75_000,
  many: 0,
}
export const FULL: Scale = {
  name: 'full',
  rounds: 7,
  transferMs: 1_200,
  rateMs: 1_200,
  setUps: 100,
  roundTrips: 2_000,
  requests: 200,
  cold: 5,
  idle: 1_000,
  hurryAfterMs: 780_000,
  many: 10_000,
}
