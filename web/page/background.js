// The picture that a visitor chooses as a background.
import {ApiError} from './api.js';

const LONGEST_SIDE_PX = 1280, JPEG_QUALITY = 0.85; // a camera's photo would be larger than a message may be

/** Return a picture's file upright and small enough to be sent, as the bytes of a JPEG. Rejects with an ApiError. */
export async function backgroundOf(file) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch (error) { throw new ApiError('bad_background', error.message); }
  const scale = Math.min(1, LONGEST_SIDE_PX / Math.max(picture.width, picture.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(picture.width * scale)), Math.max(1, Math.round(picture.height * scale)));
  const context = canvas.getContext('2d', {alpha: false});
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const blob = await canvas.convertToBlob({type: 'image/jpeg', quality: JPEG_QUALITY});
  return new Uint8Array(await blob.arrayBuffer());
}
