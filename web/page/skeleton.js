// Draws joints as lines, in the colours of the label map that the network was trained with.

const LIGHTER = 0.3; // on a dark ground: how far a colour goes towards white

/**
 * Draw `joints` on `context`, over what is there.
 *
 * joints: Float32Array [joint_count * 3] of x px, y px, confidence in a frame of `width` x `height` px; null draws
 * nothing. strokes: of GET api/skeleton; its radii and widths are fractions of the height.
 */
export function drawSkeleton(context, joints, {strokes}, width, height, {dark = true} = {}) {
  if (!joints) return;
  const {canvas} = context, sx = canvas.width / width, sy = canvas.height / height, unit = canvas.height;
  const seen = joint => joints[3 * joint + 2] > 0;
  const x = joint => joints[3 * joint] * sx, y = joint => joints[3 * joint + 1] * sy;
  const shade = ([red, green, blue], opacity = 1) => {
    const part = value => Math.round(dark ? value + (255 - value) * LIGHTER : value);
    return `rgb(${part(red)} ${part(green)} ${part(blue)} / ${opacity})`;
  };
  const line = (from, to, thickness, colour) => {
    if (!seen(from) || !seen(to)) return;
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(x(from), y(from));
    context.lineTo(x(to), y(to));
    context.stroke();
  };
  const circle = (joint, radius, colour) => {
    if (!seen(joint)) return;
    context.fillStyle = colour;
    context.beginPath();
    context.arc(x(joint), y(joint), radius, 0, 2 * Math.PI);
    context.fill();
  };
  context.lineCap = 'round';
  for (const [joint, radius, colour] of strokes.circles) circle(joint, radius * unit, shade(colour));
  for (const [from, to, radius, colour] of strokes.limbs) line(from, to, 1.4 * radius * unit, shade(colour, strokes.limb_opacity));
  for (const [from, to, colour] of strokes.lines) line(from, to, Math.max(1, strokes.line_width * unit), shade(colour));
  for (const [joint, radius, colour] of strokes.pupils) circle(joint, radius * unit, shade(colour));
}
