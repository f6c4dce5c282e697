/** A picture of rates: bars, one a row; widths are of the logarithm, since a linear scale would show one bar. */
export function chart(
  rows: readonly { readonly what: string; readonly rate: number }[],
): string {
  const [left, width, height] = [330, 430, 26];
  const most = Math.log10(Math.max(...rows.map(({ rate }) => rate)) * 1.5);
  const bars = rows.map(({ what, rate }, at) => {
    const y = 44 + at * height;
    const long = Math.max(2, Math.log10(Math.max(rate, 1)) / most * width);
    const fill = what.startsWith("wherry") ? "#2f6f4f" : "#9a9a9a";
    return `<text x="${left - 8}" y="${y + 13}" text-anchor="end">${what}</text>` +
      `<rect x="${left}" y="${y}" width="${long.toFixed(1)}" height="18" fill="${fill}"/>` +
      `<text x="${(left + long + 6).toFixed(1)}" y="${y + 13}">${rate.toFixed(0)}</text>`;
  });
  const tall = 60 + rows.length * height;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 ${tall}" font-family="sans-serif" font-size="12">
<rect width="860" height="${tall}" fill="#fff"/>
<text x="12" y="24" font-size="15">Images rebased a second, one machine with ${navigator.hardwareConcurrency} processors (logarithmic)</text>
${bars.join("\n")}
</svg>
`;
}
