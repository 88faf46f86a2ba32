// The texts on the page that are hard to read: contrast (WCAG 2.2, 1.4.3) below 4.5, or 3 for large ones.
(() => {
  const parse = (text) => {
    const numbers = text.match(/[\d.]+/g).map(Number);
    const scale = text.startsWith('color(srgb') ? 255 : 1;
    return [...numbers.slice(0, 3).map((n) => n * scale), numbers[3] ?? 1];
  };
  const over = (front, back) => {
    const alpha = front[3];
    return [...front.slice(0, 3).map((n, i) => n * alpha + back[i] * (1 - alpha)), 1];
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((n) => n / 255).map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const above = (element) => element.parentElement ?? element.getRootNode().host ?? null;
  const background = (element) => {
    const layers = [];
    for (let at = element; at; at = above(at)) layers.push(parse(getComputedStyle(at).backgroundColor));
    const paper = matchMedia('print').matches || !matchMedia('(prefers-color-scheme: dark)').matches;
    return layers.reverse().reduce((back, front) => over(front, back), paper ? [255, 255, 255, 1] : [18, 18, 18, 1]);
  };
  const opacity = (element) => {
    let product = 1;
    for (let at = element; at; at = above(at)) product *= Number(getComputedStyle(at).opacity);
    return product;
  };
  const texts = function* (root) {
    for (const element of root.querySelectorAll('*')) {
      if (element.shadowRoot) yield* texts(element.shadowRoot);
      const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      if (own && !['SCRIPT', 'STYLE', 'TEMPLATE', 'TITLE', 'OPTION', 'style', 'title'].includes(element.tagName)) yield element;
    }
  };
  const found = [];
  let seen = 0;
  for (const element of texts(document)) {
    const style = getComputedStyle(element);
    if (!element.getClientRects().length || style.visibility === 'hidden' || element.closest('.hidden, .skip')) continue;
    seen += 1;
    const colour = parse(element instanceof SVGElement ? style.fill : style.color);
    const back = background(element);
    const shown = over([...colour.slice(0, 3), colour[3] * opacity(element)], back);
    const [light, dark] = [luminance(shown), luminance(back)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) {
      found.push(`${ratio.toFixed(2)} ${element.tagName}.${element.getAttribute('class')}: ${element.textContent.trim().slice(0, 40)}`);
    }
  }
  return {seen, found};
})()
