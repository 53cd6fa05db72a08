// Small figures that show what to do while filming.

// Joints in a square of 1: head, neck, hips, then elbow and hand, knee and foot of each side (the figure's right first).
const STANDING = {head: [0.5, 0.14], neck: [0.5, 0.25], hips: [0.5, 0.53], legs: [[[0.44, 0.73], [0.42, 0.94]], [[0.56, 0.73], [0.58, 0.94]]]};
const FIGURES = {
  front: {arms: [[[0.4, 0.39], [0.37, 0.53]], [[0.6, 0.39], [0.63, 0.53]]]},
  arms_out: {arms: [[[0.32, 0.26], [0.14, 0.25]], [[0.68, 0.26], [0.86, 0.25]]], hands: 'open'},
  arms_up: {arms: [[[0.4, 0.13], [0.36, 0.02]], [[0.6, 0.13], [0.64, 0.02]]]},
  fists: {arms: [[[0.36, 0.33], [0.38, 0.17]], [[0.64, 0.33], [0.62, 0.17]]], hands: 'closed'},
  left_side: {turn: 'right', arms: [[[0.47, 0.4], [0.54, 0.53]], [[0.53, 0.4], [0.6, 0.52]]]},
  back: {turn: 'away', arms: [[[0.36, 0.3], [0.2, 0.34]], [[0.64, 0.3], [0.8, 0.34]]]},
  right_side: {turn: 'left', arms: [[[0.53, 0.4], [0.46, 0.53]], [[0.47, 0.4], [0.4, 0.52]]]},
  dance: {arms: [[[0.36, 0.3], [0.3, 0.14]], [[0.64, 0.34], [0.74, 0.46]]], legs: [[[0.4, 0.7], [0.32, 0.92]], [[0.6, 0.68], [0.64, 0.94]]]},
};
const SIDE_LEGS = [[[0.48, 0.73], [0.47, 0.94]], [[0.52, 0.73], [0.53, 0.94]]];

/** Draw the figure of a step on `canvas`. */
export function drawFigure(canvas, step) {
  const context = canvas.getContext('2d'), {width, height} = canvas, unit = Math.min(width, height);
  const colour = getComputedStyle(canvas).color;
  const figure = {...STANDING, ...(FIGURES[step] ?? FIGURES.front)};
  if (figure.turn === 'left' || figure.turn === 'right') figure.legs = SIDE_LEGS;
  context.clearRect(0, 0, width, height);
  Object.assign(context, {strokeStyle: colour, fillStyle: colour, lineWidth: unit * 0.035, lineCap: 'round', lineJoin: 'round'});
  const line = points => {
    context.beginPath();
    points.forEach(([x, y], index) => context[index ? 'lineTo' : 'moveTo'](x * width, y * height));
    context.stroke();
  };
  line([figure.neck, figure.hips]);
  for (const arm of figure.arms) { line([figure.neck, ...arm]); hand(context, arm[1], figure.hands, width, height, unit); }
  for (const leg of figure.legs) line([figure.hips, ...leg]);
  context.beginPath();
  context.arc(figure.head[0] * width, figure.head[1] * height, unit * 0.075, 0, 2 * Math.PI);
  if (figure.turn === 'away') context.fill(); else context.stroke();
  if (figure.turn === 'left' || figure.turn === 'right') {
    const side = figure.turn === 'right' ? 1 : -1, [x, y] = figure.head;
    line([[x + side * 0.07, y], [x + side * 0.11, y + 0.02]]);
  }
}

function hand(context, [x, y], shape, width, height, unit) {
  if (!shape) return;
  if (shape === 'closed') {
    context.beginPath();
    context.arc(x * width, y * height, unit * 0.03, 0, 2 * Math.PI);
    context.fill();
    return;
  }
  for (const angle of [-0.9, -0.3, 0.3, 0.9]) {
    const outwards = x < 0.5 ? Math.PI + angle : angle;
    context.beginPath();
    context.moveTo(x * width, y * height);
    context.lineTo(x * width + Math.cos(outwards) * unit * 0.06, y * height + Math.sin(outwards) * unit * 0.06);
    context.stroke();
  }
}
