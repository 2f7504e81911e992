// Quantities of Kubernetes, such as 500m, 128Mi and 1e3, exactly.
// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/

const QUANTITY =
  /^(?<sign>[+-]?)(?=\.?\d)(?<whole>\d{0,40})(?:\.(?<decimals>\d{0,40}))?(?<suffix>[eE][+-]?\d{1,2}|[numkMGTPE]|[KMGTPE]i)?$/;
const DECIMAL: Record<string, number> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

/** What a quantity of 1 counts: the least that Kubernetes tells apart is a billionth. */
export const ONE = 1_000_000_000n;

/**
 * @param quantity a quantity as a Pod has it: text, or a number of JSON
 * @returns billionths, rounded up as Kubernetes does, but without its upper bound; undefined where it is no quantity
 */
export function parseQuantity(quantity: unknown): bigint | undefined {
  const { sign, whole = '', decimals = '', suffix = '' } = QUANTITY.exec(textOf(quantity))?.groups ?? {};
  if (sign === undefined) return undefined;
  const binary = BINARY.indexOf(suffix);
  const factor = 1024n ** BigInt(binary + 1);
  const exponent = binary >= 0 ? 0 : (DECIMAL[suffix] ?? Number(suffix.slice(1)));
  const amount = shifted(BigInt(whole + decimals) * factor, 9 + exponent - decimals.length);
  return sign === '-' ? -amount : amount;
}

const textOf = (quantity: unknown) =>
  typeof quantity === 'string' || typeof quantity === 'number' ? String(quantity) : '';

/** Times ten to that power, rounded up. */
function shifted(value: bigint, power: number): bigint {
  if (power >= 0) return value * 10n ** BigInt(power);
  const divisor = 10n ** BigInt(-power);
  return (value + divisor - 1n) / divisor;
}
