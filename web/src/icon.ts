import { svg } from './dom.ts';
import { ICONS, type IconName } from './icons.ts';

export type { IconName } from './icons.ts';
/** The icon of that name, as large as its text is (class `icon`). */
export const icon = (name: IconName, className = 'icon'): SVGSVGElement => svg(ICONS[name], className);
